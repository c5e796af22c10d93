"""Carts from the outside: opening, lines, what is refused, guards and expiry."""

import re
import unicodedata
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.api import Api, euro, refused
from support.buyers import Buyer
from support.carts import ADDRESS, amounts, problems, shelf_with_prices
from support.stack import Stack, wait_for

CARTS_MAX = 4
ENV = {
    "SOUK_CARTS_MAX": str(CARTS_MAX),
    "SOUK_CARTS_PURGE_MS": "1000",
    "SOUK_ORDERS_FOLLOW_MS": "5000",  # there is no catalogue to follow
}


@pytest.fixture(scope="module")
def stack(servers):
    with Stack(servers, catalog=0, diag=0, orders=2, env=ENV) as started:
        yield started


@pytest.fixture(scope="module")
def shelf(stack):
    return shelf_with_prices(stack)


# ---- opening and reading ----


def test_somebody_without_a_token_gets_one_with_the_cart(stack, shelf):
    sku = shelf.put(price=1250)
    answer = Api(stack).post("/v1/carts", json={"items": [{"sku": sku, "quantity": 2}]})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["Location"] == f"/v1/carts/{made['id']}"
    assert answer.headers["ETag"] == '"1"'
    assert made["subject"].startswith("gst_")
    assert amounts(made) == (2500, 0, 0, 0, 2500)
    line = made["items"][0]
    assert (line["unit_price"], line["total"]) == (euro(1250), euro(2500))
    assert line["option_values"] == {"size": "large"}
    buyer = Buyer(stack, made.pop("guest_token"))
    found = buyer.get(f"/v1/carts/{made['id']}")
    assert found.json() == made
    mine = buyer.get("/v1/me/cart")
    assert mine.json() == made
    assert Api(stack).get(f"/v1/carts/{made['id']}").status_code == 401


def test_the_etag_changes_with_the_cart_and_with_what_it_costs(stack, shelf, guest):
    sku = shelf.put(price=1000, stock=5)
    guest.open((sku, 2))
    first = guest.get(guest.path).headers["ETag"]
    assert re.fullmatch(r'"1-[0-9a-f]{8}"', first)
    seen = guest.get(guest.path, headers={"If-None-Match": first})
    assert seen.status_code == 304
    shelf.sql("UPDATE skus SET price = 1100 WHERE sku = %s", sku)
    dearer = guest.get(guest.path, headers={"If-None-Match": first})
    assert dearer.status_code == 200
    assert dearer.headers["ETag"] not in (first, None)
    line = dearer.json()["items"][0]
    assert (line["unit_price"], line["previous_price"]) == (euro(1100), euro(1000))
    assert problems(line) == ["price_changed"]
    # The tag of a read guards a change by its version; writing the line takes note of the price.
    changed = guest.ask("PATCH", f"/items/{sku}", version=dearer.headers["ETag"], quantity=3)
    line = guest.take(changed)["items"][0]
    assert (line["previous_price"], line["problems"]) == (None, [])


def test_a_fresh_cart_is_read_in_one_round_trip(stack, shelf, guest):
    sku = shelf.put()
    guest.open((sku, 1))
    guest.change("PATCH", email="a@example.com", shipping_method="parcel", discount_code="TEN")

    def round_trips():
        total = 0
        for label in ("orders-1", "orders-2"):
            url = stack[label].admin_url + "/metrics"
            with urllib.request.urlopen(url, timeout=10) as page:
                text = page.read().decode()
            found = re.search(
                r'^souk_pg_statements_total\{service="orders",outcome="ok"\} (\d+)', text, re.M
            )
            total += int(found[1])
        return total

    def cost(reads):
        before = round_trips()
        for _ in range(reads):
            guest.look()
        return round_trips() - before

    for _ in range(20):  # every slot of both workers prepares its statement once
        guest.look()
    # Background tasks have statements too; a cart of two would never stay below this.
    wait_for(lambda: cost(10) < 20, 30, "ten readings with less than twenty statements")


def test_the_newest_open_cart_is_ones_own(stack, shelf, guest):
    refused(guest.get("/v1/me/cart"), 404, "not_found")
    first = guest.open()
    second = guest.open()
    assert guest.get("/v1/me/cart").json()["id"] == second["id"]
    guest.cart = first
    guest.change("PATCH", email="a@example.com")
    assert guest.get("/v1/me/cart").json()["id"] == first["id"]


# ---- lines ----


def test_lines_are_added_changed_and_removed(shelf, guest):
    one, two = shelf.put(price=1000), shelf.put(price=300)
    guest.open()
    assert guest.cart["items"] == []
    assert amounts(guest.cart) == (0, 0, 0, 0, 0)
    guest.add(one, 2)
    guest.add(two, 1)
    guest.add(one, 3)
    assert [(line["sku"], line["quantity"]) for line in guest.cart["items"]] == [(one, 5), (two, 1)]
    assert guest.cart["items_count"] == 6
    assert amounts(guest.cart) == (5300, 0, 0, 0, 5300)
    guest.change("PATCH", f"/items/{one}", quantity=1)
    assert guest.line(one)["quantity"] == 1
    guest.change("DELETE", f"/items/{one}")
    assert [line["sku"] for line in guest.cart["items"]] == [two]
    assert guest.cart["version"] == 6
    answer = guest.ask("DELETE", f"/items/{one}")
    refused(answer, 404, "not_found")
    assert guest.look()["version"] == 6


def test_a_cart_opens_with_items_in_their_order(shelf, guest):
    skus = [shelf.put() for _ in range(5)][::-1]
    guest.open(*[(sku, 1) for sku in skus], (skus[1], 4))
    assert [(line["sku"], line["quantity"]) for line in guest.look()["items"]] == [
        (sku, 5 if sku == skus[1] else 1) for sku in skus
    ]


def test_a_repeated_key_adds_once(shelf, guest):
    sku = shelf.put()
    guest.open()
    key = uuid.uuid4().hex
    first = guest.ask("POST", "/items", key=key, sku=sku, quantity=2)
    again = guest.ask("POST", "/items", key=key, sku=sku, quantity=2)
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    refused(guest.ask("POST", "/items", key=key, sku=sku, quantity=3), 422, "key_reused")
    guest.look()
    assert guest.line(sku)["quantity"] == 2


def test_addresses_are_kept_in_one_form(guest):
    guest.open()
    decomposed = {name: unicodedata.normalize("NFD", value) for name, value in ADDRESS.items()}
    decomposed["name"] = f"  {decomposed['name']} "
    email = unicodedata.normalize("NFD", "zoë@KÖLN.example")
    guest.change("PATCH", shipping_address=decomposed, email=email)
    assert guest.cart["shipping_address"] == ADDRESS
    assert guest.cart["email"] == "zoë@köln.example"
    assert guest.look()["shipping_address"] == ADDRESS
    for name in ("山田 太郎", "عمر الخيام", "Ωραία Ελένη", "O'Brien 🚀"):
        guest.change("PATCH", shipping_address={**ADDRESS, "name": name})
        assert guest.look()["shipping_address"]["name"] == name
    guest.change("PATCH", shipping_address=None, email=None)
    assert (guest.cart["shipping_address"], guest.cart["email"]) == (None, None)


# ---- refusals ----

BAD_ITEMS = [
    ({"sku": "NO-SUCH", "quantity": 1}, 422, "sku_unknown", None),
    ({"sku": "NO SUCH", "quantity": 1}, 422, "validation", "/sku"),
    ({"sku": "", "quantity": 1}, 422, "validation", "/sku"),
    ({"sku": "x" * 65, "quantity": 1}, 422, "validation", "/sku"),
    ({"sku": "NO-SUCH"}, 422, "validation", "/quantity"),
    ({"quantity": 1}, 422, "validation", "/sku"),
    *(
        ({"sku": "NO-SUCH", "quantity": bad}, 422, "validation", "/quantity")
        for bad in (0, -1, 1000, 2**63 - 1, -(2**63), 1.5, "1", None, True, [1])
    ),
    ({"sku": "NO-SUCH", "quantity": 1, "price": 1}, 422, "validation", "/price"),
]


@pytest.mark.parametrize(("item", "status", "name", "pointer"), BAD_ITEMS)
def test_a_bad_item_is_named(guest, item, status, name, pointer):
    guest.open()
    added = refused(
        guest.request("POST", guest.path + "/items", json=item, headers={"If-Match": "*"}),
        status,
        name,
    )
    opened = refused(guest.post("/v1/carts", json={"items": [{**item}]}), status, name)
    if pointer:
        assert pointer in [error["pointer"] for error in added["errors"]]
        assert f"/items/0{pointer}" in [error["pointer"] for error in opened["errors"]]
    else:
        assert "NO-SUCH" in added["detail"] and "NO-SUCH" in opened["detail"]
        assert [error["pointer"] for error in added["errors"]] == ["/sku"]
        assert [error["pointer"] for error in opened["errors"]] == ["/items/0/sku"]
    assert guest.look()["version"] == 1


BAD_UPDATES = [
    ({}, 422, "validation"),
    ({"email": "nobody"}, 422, "validation"),
    ({"email": "a@b"}, 422, "validation"),
    ({"email": "a@@example.com"}, 422, "validation"),
    ({"email": "a" * 250 + "@example.com"}, 422, "validation"),
    ({"shipping_address": {}}, 422, "validation"),
    ({"shipping_address": {**ADDRESS, "country": "ZZ"}}, 422, "validation"),
    ({"shipping_address": {**ADDRESS, "country": "de"}}, 422, "validation"),
    ({"shipping_address": {**ADDRESS, "name": " \u00a0 "}}, 422, "validation"),
    ({"shipping_address": {**ADDRESS, "name": "a\u202eb"}}, 422, "validation"),
    ({"shipping_address": {**ADDRESS, "city": "a\nb"}}, 422, "validation"),
    ({"shipping_address": {**ADDRESS, "line1": "x" * 201}}, 422, "validation"),
    ({"shipping_address": {**ADDRESS, "phone": "call me"}}, 422, "validation"),
    ({"shipping_address": {**ADDRESS, "planet": "Mars"}}, 422, "validation"),
    ({"shipping_method": "camel"}, 422, "shipping_not_available"),
    ({"shipping_method": "sledge"}, 422, "shipping_not_available"),
    (
        {"shipping_method": "parcel", "shipping_address": {**ADDRESS, "country": "NO"}},
        422,
        "shipping_not_available",
    ),
    ({"discount_code": "NOPE"}, 422, "discount_unknown"),
    ({"discount_code": "GONE"}, 422, "discount_not_active"),
    ({"discount_code": "SOON"}, 422, "discount_not_active"),
    ({"discount_code": "OFF"}, 422, "discount_not_active"),
    ({"discount_code": "EMPTY"}, 409, "discount_used_up"),
    ({"discount_code": "TEN'; DROP TABLE carts; --"}, 422, "validation"),
    ({"grand_total": 1}, 422, "validation"),
    ({"status": "ordered"}, 422, "validation"),
]


@pytest.mark.parametrize(("body", "status", "name"), BAD_UPDATES)
def test_a_bad_change_changes_nothing(shelf, guest, body, status, name):
    before = guest.open()
    refused(
        guest.request("PATCH", guest.path, json=body, headers={"If-Match": '"1"'}), status, name
    )
    assert guest.look() == before


def test_bounds_of_a_cart(shelf, guest):
    skus = [shelf.put(price=1) for _ in range(101)]
    guest.open(*[(sku, 999) for sku in skus[:100]])
    refused(guest.ask("POST", "/items", sku=skus[100], quantity=1), 409, "cart_full")
    refused(guest.ask("POST", "/items", sku=skus[7], quantity=1), 422, "quantity_too_large")
    assert guest.look()["items_count"] == 99900
    more = [{"sku": sku, "quantity": 1} for sku in skus]
    refused(guest.post("/v1/carts", json={"items": more}), 422, "validation")
    twice = [{"sku": skus[0], "quantity": 600}] * 2
    answer = refused(guest.post("/v1/carts", json={"items": twice}), 422, "quantity_too_large")
    assert answer["errors"][0]["pointer"] == "/items/1/quantity"
    off = shelf.put(sellable=False)
    mixed = [{"sku": sku, "quantity": 1} for sku in (skus[0], skus[0], skus[1], off)]
    answer = refused(guest.post("/v1/carts", json={"items": mixed}), 409, "sku_not_sellable")
    assert answer["errors"][0]["pointer"] == "/items/3/sku"
    # The longest of everything, in four bytes a character, is still read and shown.
    long = {
        name: "\U0001d4d0" * (120 if name in ("city", "region") else 200)
        for name in ("name", "company", "line1", "line2", "city", "region")
    }
    guest.change("PATCH", shipping_address={**ADDRESS, **long})
    assert guest.look()["shipping_address"]["name"] == long["name"]


def test_so_many_open_carts_and_no_more(shelf, guest):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: guest_post(guest), range(12)))
    assert sorted(answers) == [201] * CARTS_MAX + [409] * (12 - CARTS_MAX)
    refused(guest.post("/v1/carts", json={}), 409, "carts_too_many")


def guest_post(buyer):
    """On a connection of its own."""
    return Buyer(buyer.stack, buyer.token).post("/v1/carts", json={}).status_code


# ---- guards ----


def test_changes_name_the_version_that_they_know(shelf, guest):
    sku = shelf.put()
    guest.open((sku, 1))
    changes = [
        ("PATCH", "", {"email": "a@example.com"}),
        ("POST", "/items", {"sku": sku, "quantity": 1}),
        ("PATCH", f"/items/{sku}", {"quantity": 2}),
        ("DELETE", f"/items/{sku}", {}),
        ("DELETE", "/discount", {}),
    ]
    for verb, under, body in changes:
        refused(guest.ask(verb, under, version="", **body), 428, "precondition_required")
        for stale in ('"2"', '"0"', '"1x"', '"-1"', '"1-"x'):
            status = guest.ask(verb, under, version=stale, **body).status_code
            assert status in (412, 422, 400), stale
        refused(guest.ask(verb, under, version='"2"', **body), 412, "precondition_failed")
    assert guest.look()["version"] == 1
    guest.take(guest.ask("PATCH", version="*", email="a@example.com"))
    assert guest.cart["version"] == 2


def test_of_two_changes_at_once_one_wins(stack, shelf, guest):
    sku = shelf.put()
    guest.open((sku, 1))

    def change(_):
        buyer = Buyer(stack, guest.token)
        buyer.cart = guest.cart
        return buyer.ask("POST", "/items", sku=sku, quantity=1).status_code

    for _ in range(5):
        quantity = guest.line(sku)["quantity"]
        with ThreadPoolExecutor(8) as pool:
            answers = sorted(pool.map(change, range(8)))
        assert answers == [200] + [412] * 7
        guest.look()
        assert guest.line(sku)["quantity"] == quantity + 1


# ---- expiry ----


def test_an_expired_cart_is_gone_and_then_removed(shelf, guest):
    sku = shelf.put()
    gone = guest.open((sku, 1))
    kept = guest.open((sku, 1))
    shelf.sql("UPDATE carts SET expires_at = now() - interval '1 second' WHERE id = %s", gone["id"])
    refused(guest.get(f"/v1/carts/{gone['id']}"), 404, "not_found")
    guest.cart = gone
    refused(guest.ask("POST", "/items", sku=sku, quantity=1), 404, "not_found")
    wait_for(
        lambda: not shelf.sql("SELECT 1 FROM cart_lines WHERE cart_id = %s", gone["id"]),
        20,
        "the expired cart is removed",
    )
    assert guest.get("/v1/me/cart").json()["id"] == kept["id"]


def days_left(shelf, buyer):
    """From its last change to its end."""
    rows = shelf.sql(
        "SELECT extract(day FROM expires_at - updated_at)::int FROM carts WHERE id = %s",
        buyer.cart["id"],
    )
    return rows[0][0]


def test_a_change_renews_the_cart(shelf, guest):
    sku = shelf.put()
    guest.open((sku, 1))
    shelf.sql(
        "UPDATE carts SET expires_at = now() + interval '1 hour' WHERE id = %s", guest.cart["id"]
    )
    soon = guest.look()["expires_at"]
    guest.change("PATCH", email="a@example.com")
    assert guest.cart["expires_at"] > soon
    assert days_left(shelf, guest) == 30


def test_an_empty_cart_is_kept_for_a_day(shelf, guest):
    sku = shelf.put()
    guest.open()
    assert days_left(shelf, guest) == 1
    guest.add(sku)
    assert days_left(shelf, guest) == 30
    guest.change("DELETE", f"/items/{sku}")
    assert days_left(shelf, guest) == 1
