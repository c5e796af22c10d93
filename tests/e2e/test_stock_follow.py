"""The table skus follows the catalogue: whoever dies, freezes or is replaced meanwhile."""

import re
import signal

import pytest
import requests
from support.api import Api, euro
from support.stack import Servers, wait_for

WORKERS = ("orders-1", "orders-2")
FAST = {"SOUK_ORDERS_LEASE_MS": "1000", "SOUK_ORDERS_FOLLOW_MS": "50"}


class Shop:
    """A stack with its API and its orders database."""

    def __init__(self, stack):
        self.stack, self.api = stack, Api(stack)

    def rows(self, product_id):
        """What is known of a product's SKUs: {sku: (price, sellable)}."""
        with self.stack.connect("orders") as db:
            found = db.execute(
                "SELECT sku, price, sellable FROM skus WHERE product_id = %s", (product_id,)
            ).fetchall()
        return {sku: (price, sellable) for sku, price, sellable in found}

    def wait_rows(self, product_id, expected):
        wait_for(
            lambda: self.rows(product_id) == expected,
            what=f"skus has {expected} of {product_id}, last {self.rows(product_id)}",
        )

    def lease(self):
        with self.stack.connect("orders") as db:
            return db.execute(
                "SELECT epoch, checkpoint, phase, record FROM follower_lease"
            ).fetchone()

    def holders(self):
        """Workers that say they hold the lease; those that do not answer are left out."""
        found = []
        for label in WORKERS:
            if label not in self.stack.processes:
                continue
            try:
                text = requests.get(self.stack[label].admin_url + "/metrics", timeout=1).text
            except requests.RequestException:
                continue
            if re.search(r"^souk_orders_follow_holder 1$", text, re.M):
                found.append(label)
        return found

    def holder(self):
        (label,) = wait_for(lambda: len(self.holders()) == 1 and self.holders(), what="a holder")
        return label

    def create(self, *prices, **fields):
        """A product with a variant for each price; its expected rows too."""
        made = self.api.create(
            options=["size"],
            variants=[
                {
                    "sku": f"F{id(self) % 999}-{next(COUNTER)}",
                    "price": euro(price),
                    "option_values": {"size": f"s{at}"},
                }
                for at, price in enumerate(prices)
            ],
            **fields,
        )
        return made, {each["sku"]: (each["price"]["amount"], True) for each in made["variants"]}


COUNTER = iter(range(1, 10**9))


@pytest.fixture
def make_shop(make_stack):
    def make(**options):
        options = {"orders": 2, "diag": 0, **options}
        options["env"] = {**FAST, **options.get("env", {})}
        return Shop(make_stack(**options))

    return make


def test_price_drop_draft_and_delete_come_through(make_shop):
    shop = make_shop()
    made, expected = shop.create(500, 700)
    shop.wait_rows(made["id"], expected)
    first, second = (each["sku"] for each in made["variants"])

    variants = [
        {"sku": first, "price": euro(450), "option_values": {"size": "s0"}},
        {"sku": second, "price": euro(700), "option_values": {"size": "s1"}},
    ]
    assert shop.api.change(made["id"], 1, variants=variants).status_code == 200
    shop.wait_rows(made["id"], {first: (450, True), second: (700, True)})

    assert shop.api.change(made["id"], 2, variants=variants[:1]).status_code == 200
    shop.wait_rows(made["id"], {first: (450, True), second: (700, False)})

    assert shop.api.change(made["id"], 3, status="draft").status_code == 200
    shop.wait_rows(made["id"], {first: (450, False), second: (700, False)})
    assert shop.api.change(made["id"], 4, status="active", variants=variants).status_code == 200
    shop.wait_rows(made["id"], {first: (450, True), second: (700, True)})

    answer = shop.api.delete(f"/v1/admin/products/{made['id']}", headers={"If-Match": '"5"'})
    assert answer.status_code == 204
    shop.wait_rows(made["id"], {first: (450, False), second: (700, False)})


def test_pages_of_many_products_arrive_whole(make_shop):
    """More than a page, so the follower walks; the sum over the catalogue is exact."""
    shop = make_shop(orders=1, catalog=1)
    items = [
        {
            "slug": f"many-{at}",
            "name": f"Many {at}",
            "status": "active",
            "variants": [{"sku": f"MANY-{at}", "price": euro(at + 1)}],
        }
        for at in range(1200)
    ]
    for at in range(0, len(items), 200):
        answer = shop.api.post("/v1/admin/products/import", json={"items": items[at : at + 200]})
        assert answer.status_code == 200, answer.text

    def all_there():
        with shop.stack.connect("orders") as db:
            return db.execute(
                "SELECT count(*), sum(price) FROM skus WHERE sku LIKE 'MANY-%' AND sellable"
            ).fetchone()

    wait_for(lambda: all_there() == (1200, 1200 * 1201 // 2), what="1,200 SKUs")


def test_the_other_worker_goes_on_when_the_holder_is_killed(make_shop):
    shop = make_shop()
    made, expected = shop.create(100)
    shop.wait_rows(made["id"], expected)
    holder, (epoch, *_) = shop.holder(), shop.lease()
    shop.stack[holder].kill()
    made, expected = shop.create(200)
    shop.wait_rows(made["id"], expected)
    assert shop.lease()[0] > epoch and shop.holder() != holder
    shop.stack[holder].start().wait_ready()
    assert len(shop.holders()) == 1


def test_a_stopped_holder_hands_over_at_once(make_shop):
    """By a lease that would last for minutes."""
    shop = make_shop(env={"SOUK_ORDERS_LEASE_MS": "600000"})
    made, expected = shop.create(100)
    shop.wait_rows(made["id"], expected)
    holder = shop.holder()
    assert shop.stack[holder].stop() == 0
    made, expected = shop.create(200)
    shop.wait_rows(made["id"], expected)


def test_a_frozen_holder_is_overtaken_and_fenced(make_shop):
    shop = make_shop()
    made, expected = shop.create(100)
    shop.wait_rows(made["id"], expected)
    holder, (epoch, *_) = shop.holder(), shop.lease()
    frozen = shop.stack[holder]
    frozen.signal(signal.SIGSTOP)
    try:
        wait_for(lambda: shop.lease()[0] > epoch, what="the other one has taken over")
        sku = made["variants"][0]["sku"]
        variants = [{"sku": sku, "price": euro(90), "option_values": {"size": "s0"}}]
        assert shop.api.change(made["id"], 1, variants=variants).status_code == 200
        shop.wait_rows(made["id"], {sku: (90, True)})
    finally:
        frozen.signal(signal.SIGCONT)
    wait_for(lambda: "OR-FOLLOW-LEASE-LOST" in frozen.log(), what="it notices")
    wait_for(lambda: shop.holders() not in ([], [holder]), what="the other one holds it")
    assert shop.rows(made["id"]) == {sku: (90, True)}
    assert shop.lease()[0] == epoch + 1


def test_catalogue_and_broker_may_go_and_come(make_shop):
    shop = make_shop(orders=1, catalog=1)
    made, expected = shop.create(100)
    shop.wait_rows(made["id"], expected)
    shop.stack["broker"].kill()
    shop.stack["catalog-1"].kill()
    wait_for(lambda: "OR-FOLLOW-AWAY" in shop.stack["orders-1"].log(), what="it notices")
    shop.stack["broker"].start()
    shop.stack["catalog-1"].start().wait_ready()
    wait_for(lambda: "OR-FOLLOW-BACK" in shop.stack["orders-1"].log(), what="it is back")
    shop.stack["broker"].wait_ready()
    wait_for(lambda: shop.api.get("/v1/products").status_code == 200, what="the path is back")
    made, expected = shop.create(200)
    shop.wait_rows(made["id"], expected)


def test_postgresql_may_go_and_come(make_shop):
    with Servers() as own:
        shop = make_shop(servers=own, orders=1, catalog=1)
        made, expected = shop.create(100)
        shop.wait_rows(made["id"], expected)
        own["postgres"].stop()
        own["postgres"].start().wait_ready()
        wait_for(lambda: shop.api.get("/v1/products").status_code == 200, what="reads go on")

        def create():
            answer = shop.api.post(
                "/v1/admin/products",
                json={
                    "slug": "after",
                    "name": "After",
                    "status": "active",
                    "variants": [{"sku": "AFTER", "price": euro(5)}],
                },
            )
            return answer.status_code in (201, 409) and shop.api.get("/v1/products/after")

        after = wait_for(create, what="the record is back").json()
        shop.wait_rows(after["id"], {"AFTER": (5, True)})
        shop.stack.close()


def test_another_catalogue_is_loaded_afresh(make_shop, servers):
    shop = make_shop(orders=1, catalog=1)
    old, expected = shop.create(100, 200)
    kept = old["variants"][0]["sku"]
    shop.wait_rows(old["id"], expected)
    with shop.stack.connect("orders") as db:
        db.execute("UPDATE skus SET on_hand = 7 WHERE sku = %s", (kept,))
    (_, _, _, record) = shop.lease()
    worker = shop.stack["catalog-1"]
    worker.env["SOUK_MONGODB_URI"] = servers.mongodb_uri()
    worker.restart()
    wait_for(lambda: '"CA-OTHER-DATABASE"' in worker.log(), what="the catalogue is another one")
    new = shop.api.create(variants=[{"sku": kept, "price": euro(9)}])
    shop.wait_rows(new["id"], {kept: (9, True)})
    dropped = old["variants"][1]["sku"]
    shop.wait_rows(old["id"], {dropped: (200, False)})
    wait_for(lambda: shop.lease()[2] == "follow" and shop.lease()[3] != record, what="done")
    with shop.stack.connect("orders") as db:
        assert db.execute("SELECT on_hand FROM skus WHERE sku = %s", (kept,)).fetchone() == (7,)
    assert "OR-FOLLOW-OTHER-CATALOGUE" in shop.stack["orders-1"].log()


def test_a_change_that_the_database_refuses_is_left_out_alone(make_shop):
    shop = make_shop(orders=1, catalog=1)
    shop.wait_rows(*shop_first(shop))
    worker = shop.stack["orders-1"]
    assert worker.stop() == 0
    with shop.stack.connect("orders") as db:
        db.execute("ALTER TABLE skus ADD CONSTRAINT no_poison CHECK (name <> 'Poison')")
    before, before_rows = shop.create(100)
    poison, _ = shop.create(200, name="Poison")
    after, after_rows = shop.create(300)
    worker.start().wait_ready()
    shop.wait_rows(after["id"], after_rows)
    assert shop.rows(before["id"]) == before_rows
    assert shop.rows(poison["id"]) == {}
    assert poison["id"] in next(
        line for line in worker.log().splitlines() if "OR-FOLLOW-SKIPPED" in line
    )


def test_a_product_whose_change_was_refused_is_not_sold_until_the_next_one(make_shop):
    """Nobody knows at what price: the old one is not what the shop asks for any more."""
    shop = make_shop(orders=1, catalog=1)
    made, expected = shop.create(100)
    shop.wait_rows(made["id"], expected)
    ((sku, _),) = expected.items()
    with shop.stack.connect("orders") as db:
        db.execute("ALTER TABLE skus ADD CONSTRAINT no_ninety CHECK (price <> 90)")

    def change(version, price):
        variants = [{"sku": sku, "price": euro(price), "option_values": {"size": "s0"}}]
        assert shop.api.change(made["id"], version, variants=variants).status_code == 200

    change(1, 90)
    shop.wait_rows(made["id"], {sku: (100, False)})
    change(2, 80)
    shop.wait_rows(made["id"], {sku: (80, True)})
    assert shop.stack["orders-1"].log().count("OR-FOLLOW-SKIPPED") == 1


def test_what_fails_for_another_reason_is_not_left_out(make_shop):
    shop = make_shop(orders=1, catalog=1)
    shop.wait_rows(*shop_first(shop))
    worker = shop.stack["orders-1"]
    with shop.stack.connect("orders") as db:
        db.execute("REVOKE UPDATE ON skus FROM souk_orders")
    made, expected = shop.create(100)
    wait_for(lambda: worker.log().count('"task":"follow_catalog"') > 2, what="it has tried again")
    with shop.stack.connect("orders") as db:
        db.execute("GRANT UPDATE ON skus TO souk_orders")
    shop.wait_rows(made["id"], expected)
    assert "OR-FOLLOW-SKIPPED" not in worker.log()


def test_a_page_that_takes_too_long_is_halved(make_shop):
    """A server so slow that a whole page never ends in its time: 500 rows in 6 s, of 5."""
    shop = make_shop(orders=1, catalog=1)
    shop.wait_rows(*shop_first(shop))
    worker = shop.stack["orders-1"]
    assert worker.stop() == 0
    with shop.stack.connect("orders") as db:
        db.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_sleep(0.012); RETURN NEW; END';"
            "CREATE TRIGGER slow BEFORE INSERT ON skus FOR EACH ROW EXECUTE FUNCTION slow()"
        )
    items = [
        {
            "slug": f"slow-{at}",
            "name": f"Slow {at}",
            "status": "active",
            "variants": [{"sku": f"SLOW-{at}", "price": euro(at + 1)}],
        }
        for at in range(500)
    ]
    for at in range(0, len(items), 100):
        answer = shop.api.post("/v1/admin/products/import", json={"items": items[at : at + 100]})
        assert answer.status_code == 200, answer.text
    worker.start().wait_ready()

    def count():
        with shop.stack.connect("orders") as db:
            return db.execute(
                "SELECT count(*) FROM skus WHERE sku LIKE 'SLOW-%' AND sellable"
            ).fetchone()[0]

    wait_for(lambda: count() == len(items), 60, what="500 SKUs")
    assert '"sqlstate":"57014"' in worker.log()


def shop_first(shop):
    made, expected = shop.create(1)
    return made["id"], expected


def test_a_catalogue_that_went_back_is_loaded_afresh(make_shop):
    """An older state of the same database: its numbers stay below the checkpoint."""
    shop = make_shop(orders=1, catalog=1)
    made, expected = shop.create(100)
    shop.wait_rows(made["id"], expected)
    worker = shop.stack["orders-1"]
    assert worker.stop() == 0
    with shop.stack.connect("orders") as db:
        db.execute("UPDATE follower_lease SET checkpoint = 1000000")
        db.execute(
            "INSERT INTO skus (sku, product_id, variant_id, product_slug, name, price, currency, sellable, revision)"
            " VALUES ('FUTURE', 'prod_future', 'v', 's', 'n', 1, 'EUR', true, 999999)"
        )
    worker.start().wait_ready()
    shop.wait_rows("prod_future", {"FUTURE": (1, False)})
    assert shop.rows(made["id"]) == expected
    made, expected = shop.create(200)
    shop.wait_rows(made["id"], expected)
