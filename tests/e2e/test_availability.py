"""What can be bought, as products show it: changes come through, the ETag follows, and without the orders service the catalogue goes on."""

import re
import uuid

import pytest
import requests
from support.api import Api, euro
from support.stack import wait_for


class Shop(Api):
    def stock(self, sku, **body):
        act = "receive" if "quantity" in body else "on-hand"
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        verb = "POST" if act == "receive" else "PUT"
        return self.request(verb, f"/v1/admin/stock/{sku}/{act}", json=body, headers=headers)

    def wait_stock(self, sku, **body):
        wait_for(
            lambda: self.stock(sku, **body).status_code == 200, what=f"{sku} is known to orders"
        )

    def shown(self, slug):
        """{sku: availability} of a product, and its ETag."""
        answer = self.get(f"/v1/products/{slug}")
        if answer.status_code == 404:
            return {}, None  # a worker that lags
        assert answer.status_code == 200, answer.text
        product = answer.json()
        assert ("availability_tag" in product) == any(
            "availability" in each for each in product["variants"]
        )
        return {
            each["sku"]: each.get("availability") for each in product["variants"]
        }, answer.headers["ETag"]

    def wait_shown(self, slug, expected, reads=10):
        """Until many reads in a row, which go to any catalogue worker, show it; returns the ETag, one for all."""

        def everywhere():
            seen = [self.shown(slug) for _ in range(reads)]
            return all(each[0] == expected for each in seen) and {each[1] for each in seen}

        tags = wait_for(everywhere, what=f"{slug} shows {expected}, last {self.shown(slug)}")
        assert len(tags) == 1, "every worker has the same ETag"
        return tags.pop()


@pytest.fixture
def make_shop(make_stack):
    def make(**options):
        return Shop(make_stack(**{"diag": 0, "orders": 1, "catalog": 2, **options}))

    return make


def two_sizes(shop):
    variants = [
        {
            "sku": f"{size}-{uuid.uuid4().hex[:8]}",
            "price": euro(900),
            "option_values": {"size": size},
        }
        for size in ("small", "large")
    ]
    made = shop.create(options=["size"], variants=variants)
    return made, [each["sku"] for each in made["variants"]]


def test_levels_come_through_and_the_etag_follows(make_shop):
    shop = make_shop()
    made, (small, large) = two_sizes(shop)
    slug = made["slug"]
    shop.wait_stock(small, quantity=100)
    first = shop.wait_shown(slug, {small: "in_stock", large: "none"})
    assert first.startswith('"1-')
    assert shop.get(f"/v1/products/{slug}", headers={"If-None-Match": first}).status_code == 304
    assert shop.stock(small, on_hand=3).status_code == 200
    second = shop.wait_shown(slug, {small: "low", large: "none"})
    again = shop.get(f"/v1/products/{slug}", headers={"If-None-Match": first})
    assert second != first and again.status_code == 200 and again.headers["ETag"] == second
    assert shop.stock(small, on_hand=0).status_code == 200
    assert shop.stock(large, on_hand=6).status_code == 200
    third = shop.wait_shown(slug, {small: "none", large: "in_stock"})
    assert shop.stock(large, on_hand=0).status_code == 200
    assert shop.stock(small, on_hand=100).status_code == 200
    assert shop.wait_shown(slug, {small: "in_stock", large: "none"}) == first, "as it was before"
    assert len({first, second, third}) == 3


def test_admins_see_the_record_and_its_version(make_shop):
    shop = make_shop(catalog=1)
    made, (small, large) = two_sizes(shop)
    shop.wait_stock(small, quantity=100)
    public = shop.wait_shown(made["slug"], {small: "in_stock", large: "none"})
    admin = shop.get(f"/v1/admin/products/{made['id']}")
    assert admin.headers["ETag"] == '"1"' and admin.json() == made
    path = f"/v1/admin/products/{made['id']}"
    assert shop.patch(path, json={"name": "x"}, headers={"If-Match": public}).status_code == 412
    changed = shop.patch(path, json={"name": "New"}, headers={"If-Match": '"1"'})
    assert changed.status_code == 200 and changed.headers["ETag"] == '"2"'
    assert shop.wait_shown(made["slug"], {small: "in_stock", large: "none"}) == public.replace(
        "1-", "2-"
    )


def test_a_variant_that_was_dropped_and_comes_back_is_shown_at_once(make_shop):
    shop = make_shop(catalog=1)
    made, (small, large) = two_sizes(shop)
    shop.wait_stock(large, quantity=100)
    shop.wait_shown(made["slug"], {small: "none", large: "in_stock"})
    variants = [
        {"sku": each["sku"], "price": each["price"], "option_values": each["option_values"]}
        for each in made["variants"]
    ]
    assert shop.change(made["id"], 1, variants=variants[:1]).status_code == 200
    shop.wait_shown(made["slug"], {small: "none"})
    assert shop.change(made["id"], 2, variants=variants).status_code == 200
    shop.wait_shown(made["slug"], {small: "none", large: "in_stock"})


def test_without_orders_nothing_is_claimed_and_reads_go_on(make_shop):
    shop = make_shop(catalog=1)
    made, (small, large) = two_sizes(shop)
    shop.wait_stock(small, quantity=100)
    known = shop.wait_shown(made["slug"], {small: "in_stock", large: "none"})
    shop.stack["orders-1"].kill()
    assert shop.wait_shown(made["slug"], {small: None, large: None}) == '"1"'
    wait_for(lambda: '"CA-AVAILABILITY-AWAY"' in shop.stack["catalog-1"].log(), what="it is said")
    shop.stack["orders-1"].start().wait_ready()
    assert shop.wait_shown(made["slug"], {small: "in_stock", large: "none"}) == known


def test_a_catalogue_worker_that_starts_learns_everything(make_shop):
    shop = make_shop(catalog=1)
    made, (small, large) = two_sizes(shop)
    shop.wait_stock(small, quantity=100)
    shop.wait_shown(made["slug"], {small: "in_stock", large: "none"})
    assert shop.stack["catalog-1"].restart()
    shop.wait_shown(made["slug"], {small: "in_stock", large: "none"})


def test_it_can_be_turned_off(make_shop):
    shop = make_shop(catalog=1, env={"SOUK_CATALOG_AVAILABILITY_MS": "0"})
    made, (small, large) = two_sizes(shop)
    shop.wait_stock(small, quantity=100)
    assert shop.shown(made["slug"]) == ({small: None, large: None}, '"1"')


def test_many_skus_arrive_in_pages_and_another_database_begins_anew(make_shop):
    """More than two pages; then the rows are gone and the database has another name: what was told before is void."""
    shop = make_shop(catalog=1)
    made, (small, large) = two_sizes(shop)
    shop.wait_stock(small, quantity=100)
    shop.wait_shown(made["slug"], {small: "in_stock", large: "none"})

    def known():
        text = requests.get(shop.stack["catalog-1"].admin_url + "/metrics", timeout=5).text
        return int(re.search(r"^souk_catalog_availability_skus (\d+)$", text, re.M)[1])

    with shop.stack.connect("orders") as db:
        db.execute(
            "INSERT INTO skus (sku, product_id, variant_id, product_slug, name, price, currency, sellable, revision)"
            " SELECT 'MANY-' || n, 'prod_many', 'v', 's', 'Many', 1, 'EUR', true, 1 FROM generate_series(1, 2500) n"
        )
        wait_for(lambda: known() == 2502, what="all SKUs are known")
        db.execute("DELETE FROM skus WHERE product_id = 'prod_many'")
        db.execute("UPDATE follower_lease SET identity = repeat('f', 32)")
    wait_for(lambda: known() == 2, what="the former ones are forgotten")
    shop.wait_shown(made["slug"], {small: "in_stock", large: "none"})
