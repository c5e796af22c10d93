"""Carts from the outside: guests and users, lines, totals, guards, merging, expiry, and what is refused."""

import base64
import hashlib
import hmac
import importlib.util
import random
import re
import unicodedata
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from support.api import Api, euro
from support.buyers import Buyer, Shelf
from support.stack import Servers, Stack, wait_for

CARTS_MAX = 4
ENV = {
    "SOUK_CARTS_MAX": str(CARTS_MAX),
    "SOUK_CARTS_PURGE_MS": "1000",
    "SOUK_ORDERS_FOLLOW_MS": "5000",  # there is no catalogue to follow
}
ADDRESS = {
    "name": "Zoë Müller-Łukasiewicz",
    "line1": "Große Straße 12/3",
    "postal_code": "50667",
    "city": "Köln",
    "country": "DE",
    "phone": "+49 221 1234567",
}


@pytest.fixture(scope="module")
def stack(servers):
    with Stack(servers, catalog=0, diag=0, orders=2, users=1, env=ENV) as started:
        yield started


@pytest.fixture(scope="module")
def shelf(stack):
    """Prices with tax in Germany, without tax elsewhere; one way of shipping."""
    made = Shelf(stack)
    made.sql(
        "INSERT INTO shipping_methods (id, name, price, free_above, countries, position)"
        " VALUES ('parcel', 'Parcel', 495, 10000, '{DE,US}', 1), ('pigeon', 'Pigeon', 50, NULL, '{}', 2)"
    )
    made.sql(
        "INSERT INTO shipping_methods (id, name, price, active) VALUES ('sledge', 'Sledge', 1, false)"
    )
    made.sql(
        "INSERT INTO tax_rates (country, category, rate_ppm, inclusive, name) VALUES"
        " ('DE', 'standard', 190000, true, 'MwSt'), ('DE', 'books', 70000, true, 'MwSt'),"
        " ('US', 'standard', 82500, false, 'Sales tax'), ('US', 'shipping', 0, false, 'none')"
    )
    made.sql(
        "INSERT INTO discount_codes (code, kind, value, minimum, limit_total, used, active, starts_at, ends_at) VALUES"
        " ('TEN', 'percent', 100000, 0, NULL, 0, true, NULL, NULL),"
        " ('FIVE-OFF', 'fixed', 500, 3000, NULL, 0, true, NULL, NULL),"
        " ('GONE', 'percent', 100000, 0, NULL, 0, true, NULL, now() - interval '1 second'),"
        " ('SOON', 'percent', 100000, 0, NULL, 0, true, now() + interval '1 hour', NULL),"
        " ('OFF', 'percent', 100000, 0, NULL, 0, false, NULL, NULL),"
        " ('EMPTY', 'percent', 100000, 0, 3, 3, true, NULL, NULL)"
    )
    return made


@pytest.fixture
def guest(stack, shelf):
    return Buyer.guest(stack)


@pytest.fixture
def user(stack, shelf):
    return Buyer.user(stack)


def code(answer):
    return answer.json()["code"]


def refused(answer, status, name):
    assert (answer.status_code, code(answer)) == (status, name), answer.text
    return answer.json()


def problems(of):
    return [problem["code"] for problem in of["problems"]]


def amounts(cart):
    return tuple(
        cart[f"{name}_total"]["amount"]
        for name in ("items", "discount", "shipping", "tax", "grand")
    )


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


# ---- where it goes, and totals ----


def test_totals_of_a_german_cart(shelf, guest):
    board, book = shelf.put(price=1999), shelf.put(price=1000, tax_category="books")
    guest.open((board, 2), (book, 1))
    guest.change("PATCH", shipping_method="parcel", shipping_address=ADDRESS, discount_code="ten")
    # 499.8 off: 400 and 100; 3598 and 900 are left, and 495 of shipping at the standard rate.
    assert amounts(guest.cart) == (4998, 500, 495, 574 + 59 + 79, 4993)
    assert guest.cart["taxes_included"] is True
    assert (guest.cart["discount_code"], guest.cart["shipping_name"]) == ("TEN", "Parcel")
    assert guest.line(board)["discount"] == euro(400)
    assert guest.line(book)["tax_rate_ppm"] == 70000
    guest.change("DELETE", "/discount")
    assert amounts(guest.cart) == (4998, 0, 495, 638 + 65 + 79, 5493)
    refused(guest.ask("DELETE", "/discount"), 404, "not_found")
    guest.change("PATCH", f"/items/{board}", quantity=5)
    assert guest.cart["shipping_total"] == euro(0), "free from 100.00"


def test_totals_where_taxes_are_added(shelf, guest):
    sku = shelf.put(price=1999)
    guest.open((sku, 1))
    address = {**ADDRESS, "country": "US"}
    guest.change("PATCH", shipping_method="parcel", shipping_address=address)
    assert amounts(guest.cart) == (1999, 0, 495, 165, 1999 + 495 + 165)
    assert guest.cart["taxes_included"] is False
    assert guest.line(sku)["total"] == euro(1999 + 165)


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


def test_what_changed_since_is_a_problem_of_the_cart(shelf, guest):
    fine, dropped, gone, foreign, scarce = (shelf.put(stock=9) for _ in range(5))
    guest.open((fine, 1), (dropped, 1), (gone, 1), (foreign, 1), (scarce, 9))
    shelf.sql("UPDATE skus SET sellable = false WHERE sku = %s", dropped)
    shelf.sql("DELETE FROM skus WHERE sku = %s", gone)
    shelf.sql("UPDATE skus SET currency = 'USD' WHERE sku = %s", foreign)
    shelf.sql("UPDATE skus SET reserved = 7 WHERE sku = %s", scarce)
    cart = guest.look()
    found = {line["sku"]: problems(line) for line in cart["items"]}
    assert found == {
        fine: [],
        dropped: ["sku_not_sellable"],
        gone: ["sku_unknown"],
        foreign: ["currency_mismatch"],
        scarce: ["insufficient_stock"],
    }
    assert guest.line(scarce)["available"] == 2
    assert cart["items_total"] == euro(10000), "what cannot be bought costs nothing"
    assert guest.line(gone)["name"] is None
    # Less of it, or none, is let through; more is not.
    refused(guest.ask("PATCH", f"/items/{dropped}", quantity=2), 409, "sku_not_sellable")
    refused(guest.ask("POST", "/items", sku=dropped, quantity=1), 409, "sku_not_sellable")
    refused(guest.ask("POST", "/items", sku=gone, quantity=1), 422, "sku_unknown")
    guest.change("DELETE", f"/items/{gone}")
    shelf.sql("UPDATE skus SET reserved = 0 WHERE sku = %s", scarce)


def test_codes_and_methods_that_no_longer_hold_are_problems(shelf, guest):
    sku = shelf.put(price=1000)
    for name in ("FADING", "FLIMSY", "SPENT"):
        shelf.sql(
            "INSERT INTO discount_codes (code, kind, value) VALUES (%s, 'percent', 500000)", name
        )
    shelf.sql("INSERT INTO shipping_methods (id, name, price) VALUES ('balloon', 'Balloon', 100)")
    guest.open((sku, 2))
    guest.change(
        "PATCH", discount_code="five-off", shipping_method="parcel", shipping_address=ADDRESS
    )
    assert problems(guest.cart) == ["discount_minimum_not_met"]
    assert (
        guest.cart["problems"][0]["detail"]
        == "the items cost 20.00 EUR, the code asks for 30.00 EUR"
    )
    guest.add(sku)
    assert (problems(guest.cart), guest.cart["discount_total"]) == ([], euro(500))
    guest.change("PATCH", discount_code="FADING", shipping_method="balloon")
    assert amounts(guest.cart)[:3] == (3000, 1500, 100)
    shelf.sql("UPDATE discount_codes SET ends_at = now() WHERE code = 'FADING'")
    shelf.sql("UPDATE shipping_methods SET active = false WHERE id = 'balloon'")
    assert problems(guest.look()) == ["shipping_not_available", "discount_not_active"]
    assert amounts(guest.cart)[:3] == (3000, 0, 0)
    guest.change("PATCH", discount_code="FLIMSY", shipping_method="pigeon")
    shelf.sql("DELETE FROM discount_codes WHERE code = 'FLIMSY'")
    assert problems(guest.look()) == ["discount_unknown"]
    guest.change("PATCH", discount_code="SPENT")
    shelf.sql("UPDATE discount_codes SET limit_total = 2, used = 2 WHERE code = 'SPENT'")
    assert problems(guest.look()) == ["discount_used_up"]
    guest.change("PATCH", discount_code=None, shipping_method="parcel")
    guest.change("PATCH", shipping_address={**ADDRESS, "country": "NO"})
    assert problems(guest.cart) == ["shipping_not_available"]


def test_a_sum_beyond_all_bounds_is_refused_or_told(shelf, guest):
    gold = shelf.put(price=10**12)
    answer = guest.post("/v1/carts", json={"items": [{"sku": gold, "quantity": 2}]})
    refused(answer, 422, "amount_too_large")
    guest.open((gold, 1))
    refused(guest.ask("POST", "/items", sku=gold, quantity=1), 422, "amount_too_large")
    assert guest.look()["grand_total"] == euro(10**12)
    dear = shelf.put(price=10**11)
    guest.open((dear, 5))
    shelf.sql("UPDATE skus SET price = 999999999999 WHERE sku = %s", dear)
    assert problems(guest.look()) == ["amount_too_large"]
    assert guest.cart["grand_total"] == euro(0)
    guest.change("PATCH", f"/items/{dear}", quantity=1)
    assert guest.cart["grand_total"] == euro(999999999999)


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


# ---- whose it is ----


def test_anothers_cart_is_not_there(stack, shelf, guest, user):
    sku = shelf.put()
    stranger = Buyer.guest(stack)
    for owner in (guest, user):
        owner.open((sku, 1))
        before = owner.look()
        for other in (stranger, user if owner is guest else guest):
            held, other.cart = other.cart, owner.cart
            answers = [
                other.get(other.path),
                other.ask("PATCH", email="thief@example.com"),
                other.ask("POST", "/items", sku=sku, quantity=1),
                other.ask("PATCH", f"/items/{sku}", quantity=7),
                other.ask("DELETE", f"/items/{sku}"),
                other.ask("DELETE", "/discount"),
                other.ask("PATCH", version="*", email="thief@example.com"),
            ]
            for answer in answers:
                refused(answer, 404, "not_found")
            other.cart = held
        assert owner.look() == before


def test_carts_are_of_users_and_guests(stack, shelf):
    api = Api(stack)
    refused(api.post("/v1/carts", json={}, headers=stack.admin), 403, "forbidden")
    refused(api.get("/v1/me/cart", headers=stack.admin), 403, "forbidden")
    assert api.get("/v1/me/cart").status_code == 401
    bad = {"Authorization": "Bearer gst.AAAA.AAAA"}
    assert api.post("/v1/carts", json={}, headers=bad).status_code == 401


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


# ---- merging ----


def test_a_user_takes_over_a_guests_cart(stack, shelf, guest, user):
    both, many, theirs, mine = (shelf.put() for _ in range(4))
    guest.open((both, 2), (many, 600), (theirs, 1))
    guest.change(
        "PATCH",
        email="guest@example.com",
        shipping_address=ADDRESS,
        shipping_method="parcel",
        discount_code="TEN",
    )
    user.open((mine, 1), (both, 3), (many, 600))
    user.change("PATCH", email="user@example.com")
    merged = user.take(user.post("/v1/me/cart/merge", json={"guest_token": guest.token}))
    assert [(line["sku"], line["quantity"]) for line in merged["items"]] == [
        (mine, 1),
        (both, 5),
        (many, 999),
        (theirs, 1),
    ]
    assert merged == user.look()
    assert merged["email"] == "user@example.com", "what the user has said stands"
    assert (merged["shipping_address"], merged["discount_code"]) == (ADDRESS, "TEN")
    assert merged["discount_total"]["amount"] > 0
    left = guest.get(guest.path).json()
    assert left["status"] == "merged"
    guest.cart = left
    for answer in (
        guest.ask("POST", "/items", sku=both, quantity=1),
        guest.ask("PATCH", email="a@example.com"),
        guest.ask("DELETE", f"/items/{both}"),
    ):
        refused(answer, 409, "cart_not_open")
    again = user.post("/v1/me/cart/merge", json={"guest_token": guest.token})
    assert again.json() == merged, "repeating it changes nothing"


def test_a_user_without_a_cart_gets_one(shelf, guest, user):
    sku = shelf.put()
    refused(user.post("/v1/me/cart/merge", json={"guest_token": guest.token}), 404, "not_found")
    guest.open((sku, 2))
    merged = user.take(user.post("/v1/me/cart/merge", json={"guest_token": guest.token}))
    assert merged["id"] != guest.cart["id"]
    assert [(line["sku"], line["quantity"]) for line in merged["items"]] == [(sku, 2)]
    assert user.get("/v1/me/cart").json()["id"] == merged["id"]


def test_too_many_lines_merge_nothing(shelf, guest, user):
    skus = [shelf.put() for _ in range(101)]
    guest.open(*[(sku, 1) for sku in skus[:60]])
    user.open(*[(sku, 1) for sku in skus[41:]])
    guest_before, user_before = guest.look(), user.look()
    refused(user.post("/v1/me/cart/merge", json={"guest_token": guest.token}), 409, "cart_full")
    assert (guest.look(), user.look()) == (guest_before, user_before)


def test_a_cart_is_merged_once(stack, shelf, guest, user):
    sku = shelf.put()
    guest.open((sku, 10))
    user.open((sku, 1))

    def merge(_):
        return (
            Buyer(stack, user.token)
            .post("/v1/me/cart/merge", json={"guest_token": guest.token})
            .status_code
        )

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(merge, range(6))) == {200}
    user.look()
    assert user.line(sku)["quantity"] == 11


def test_two_users_cannot_both_have_a_guests_cart(stack, shelf, guest):
    sku = shelf.put()
    guest.open((sku, 10))
    users = [Buyer.user(stack) for _ in range(3)]

    def merge(user):
        return user.post("/v1/me/cart/merge", json={"guest_token": guest.token}).status_code

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(merge, users)) == [200, 404, 404]


def forged(stack, payload):
    """A guest token with the right MAC over a payload of our own."""
    keys = bytes.fromhex(stack.secrets["SOUK_GUEST_KEYS"].split(",")[0])

    def b64(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = f"gst.{b64(payload)}"
    return f"{head}.{b64(hmac.new(keys, head.encode(), hashlib.sha256).digest())}"


def test_only_a_good_token_merges(stack, shelf, guest, user):
    guest.open((shelf.put(), 1))
    ulid = guest.cart["subject"].removeprefix("gst_").encode()
    good = forged(stack, b"\x01" + ulid + (2**40).to_bytes(8, "big"))
    head, payload, mac = guest.token.split(".")
    for bad in (
        "x",
        "gst.x.y",
        f"{head}.{payload}.{'A' * len(mac)}",
        f"{head}.{payload}",
        user.token[:200],
        forged(stack, b"\x01" + ulid + (1).to_bytes(8, "big")),
        forged(stack, b"\x02" + ulid + (2**40).to_bytes(8, "big")),
    ):
        answer = user.post("/v1/me/cart/merge", json={"guest_token": bad})
        refused(answer, 422, "guest_token_invalid")
    refused(guest.post("/v1/me/cart/merge", json={"guest_token": guest.token}), 403, "forbidden")
    assert guest.look()["status"] == "open"
    assert user.post("/v1/me/cart/merge", json={"guest_token": good}).status_code == 200


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


# ---- shipping for customers ----


def test_shipping_methods_for_a_country(stack, shelf):
    api = Api(stack)

    def ids(query=""):
        answer = api.get(f"/v1/shipping-methods{query}")
        assert answer.status_code == 200, answer.text
        return [method["id"] for method in answer.json()["data"]]

    assert [name for name in ids() if name in ("parcel", "pigeon", "sledge")] == [
        "parcel",
        "pigeon",
    ]
    assert "parcel" in ids("?country=DE")
    assert "parcel" not in ids("?country=NO")
    assert "pigeon" in ids("?country=NO")
    refused(api.get("/v1/shipping-methods?country=Norway"), 422, "validation")
    # What staff change is seen by the next request, whichever worker takes it.
    for number in range(10):
        shelf.sql("UPDATE shipping_methods SET price = %s WHERE id = 'pigeon'", 100 + number)
        found = {method["id"]: method for method in api.get("/v1/shipping-methods").json()["data"]}
        assert found["pigeon"]["price"] == euro(100 + number)


# ---- PostgreSQL is away ----


def test_without_postgresql_nothing_is_lost_and_it_recovers():
    with Servers(mongo=False) as own, Stack(own, catalog=0, diag=0, orders=1) as stack:
        shelf = Shelf(stack)
        sku = shelf.put()
        guest = Buyer.guest(stack)
        guest.open((sku, 1))
        before = guest.look()
        own["postgres"].kill()
        for answer in (
            guest.get(guest.path),
            guest.ask("POST", "/items", key="away", sku=sku, quantity=1),
        ):
            refused(answer, 503, "unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
        assert Buyer.guest(stack).token, "tokens need no database"
        own["postgres"].start().wait_ready()
        wait_for(lambda: guest.get(guest.path).status_code == 200, 30, "carts are read again")
        assert guest.look() == before
        again = guest.ask("POST", "/items", key="away", sku=sku, quantity=1)
        assert guest.take(again)["items_count"] == 2


# ---- what carts show is what orders charge ----


def oracle():
    """The exact computation of the unit tests."""
    path = Path(__file__).parents[1] / "unit" / "workers" / "orders" / "test_totals_oracle.py"
    spec = importlib.util.spec_from_file_location("totals_oracle", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def case_of(shelf, cart, lines):
    """The oracle's case of a cart: what the database says of its method, code and taxes."""
    taxes = shelf.sql("SELECT country, category, rate_ppm, inclusive FROM tax_rates")
    price, free, countries, active = shelf.sql(
        "SELECT price, free_above, countries, active FROM shipping_methods WHERE id = %s",
        cart["shipping_method"],
    )[0]
    code = (
        cart["discount_code"]
        and shelf.sql(
            "SELECT kind, value, minimum, active FROM discount_codes WHERE code = %s",
            cart["discount_code"],
        )[0]
    )
    names = ("country", "category", "rate_ppm", "inclusive")
    return {
        "now": 0,
        "country": cart["shipping_address"]["country"],
        "taxes": [dict(zip(names, row, strict=True)) for row in taxes],
        "shipping": {"price": price, "free_from": free, "countries": countries, "active": active},
        "discount": code
        and {
            **dict(zip(("kind", "value", "minimum", "active"), code, strict=True)),
            "starts_at": None,
            "ends_at": None,
        },
        "lines": lines,
    }


def test_random_carts_cost_what_decimal_says_and_checkout_takes_it(stack, shelf):
    exact = oracle()
    dice = random.Random(20261125)
    shelf.sql(
        "INSERT INTO tax_rates (country, category, rate_ppm, inclusive, name) VALUES"
        " ('MX', 'standard', 160000, true, 'IVA'), ('MX', 'books', 100000, false, 'IVA')"
    )
    shelf.sql("INSERT INTO discount_codes (code, kind, value) VALUES ('THIRD', 'percent', 333333)")
    things = [
        {
            "unit_price": dice.choice([0, 1, 99, 1999, dice.randint(1, 10**6)]),
            "tax_category": dice.choice(["standard", "books", "food"]),
        }
        for _ in range(12)
    ]
    for thing in things:
        thing["sku"] = shelf.put(
            price=thing["unit_price"], tax_category=thing["tax_category"], stock=10**6
        )
    for _ in range(25):
        guest = Buyer.guest(stack)
        chosen = dice.sample(things, dice.randint(1, 6))
        lines = [{**thing, "quantity": dice.choice([1, 2, 3, 999])} for thing in chosen]
        guest.open(*[(line["sku"], line["quantity"]) for line in lines])
        country = dice.choice(["DE", "US", "MX", "CH"])
        code = dice.choice([None, "TEN", "THIRD"])
        guest.change(
            "PATCH",
            email="jo@example.com",
            shipping_address={**ADDRESS, "country": country},
            shipping_method=dice.choice(
                ["parcel", "pigeon"] if country in ("DE", "US") else ["pigeon"]
            ),
            discount_code=code,
        )
        wanted = exact.expected(case_of(shelf, guest.cart, lines))
        assert amounts(guest.cart) == tuple(
            wanted[name] for name in ("items", "discount", "shipping", "tax", "grand")
        )
        assert guest.cart["taxes_included"] == wanted["taxes_included"]
        rows = [
            [
                line["subtotal"]["amount"],
                line["discount"]["amount"],
                line["tax"]["amount"],
                line["total"]["amount"],
                line["tax_rate_ppm"],
                line["tax_included"],
            ]
            for line in guest.cart["items"]
        ]
        assert rows == wanted["lines"]
        order = checkout(guest)
        assert order.status_code == 201, order.text
        assert amounts(order.json()) == amounts(guest.cart)
        charged = [
            (line["sku"], line["discount"], line["tax"], line["total"])
            for line in order.json()["items"]
        ]
        assert charged == [
            (line["sku"], line["discount"], line["tax"], line["total"])
            for line in guest.cart["items"]
        ]


def checkout(buyer):
    """The order that the cart makes, at the total that it shows."""
    headers = {
        "If-Match": buyer.get(buyer.path).headers["ETag"],
        "Idempotency-Key": uuid.uuid4().hex,
    }
    body = {"expected_total": buyer.cart["grand_total"], "payment_method": "manual"}
    return buyer.post(buyer.path + "/checkout", json=body, headers=headers)


def test_an_ordered_cart_is_closed_until_its_order_is_cancelled(shelf, guest):
    sku = shelf.put()
    guest.open((sku, 1))
    guest.change(
        "PATCH", email="jo@example.com", shipping_address=ADDRESS, shipping_method="parcel"
    )
    order = checkout(guest).json()
    assert guest.look()["status"] == "ordered"
    refused(guest.ask("POST", "/items", sku=sku, quantity=1), 409, "cart_not_open")
    refused(guest.get("/v1/me/cart"), 404, "not_found")
    answer = guest.post(
        f"/v1/orders/{order['id']}/cancel", headers={"Idempotency-Key": uuid.uuid4().hex}
    )
    assert answer.status_code == 200, answer.text
    assert guest.look()["status"] == "open"
    guest.add(sku)
    assert guest.line(sku)["quantity"] == 2


# ---- workers die ----

AGAIN = {
    "unavailable",
    "key_in_progress",
    "overloaded",
    "no_worker",
    "timeout",
    "worker_lost",
    "deadline_exceeded",
}


def until_final(buyer, sku, key):
    """Repeat one addition with its key until the answer says what became of it."""
    answers = []

    def final():
        try:
            answer = buyer.ask("POST", "/items", key=key, sku=sku, quantity=1)
        except requests.ConnectionError:
            return False
        answers.append(answer)
        return answer.ok or code(answer) not in AGAIN

    wait_for(final, 60, "a final answer")
    return answers[-1]


def test_each_addition_counts_once_whoever_dies(servers):
    with Stack(servers, catalog=0, diag=0, orders=2) as stack:
        sku = Shelf(stack).put(stock=1000)
        buyers = [Buyer.guest(stack) for _ in range(4)]
        for buyer in buyers:
            buyer.open()
        additions = 25

        def shop(buyer):
            for number in range(additions):
                buyer.take(until_final(buyer, sku, f"add-{number}"))
            return buyer.look()

        with ThreadPoolExecutor(len(buyers)) as pool:
            running = [pool.submit(shop, buyer) for buyer in buyers]
            kills = 0
            while not all(each.done() for each in running) and kills < 8:
                goal = sum(buyer.cart["version"] for buyer in buyers) + 8
                wait_for(
                    lambda goal=goal: (
                        sum(buyer.cart["version"] for buyer in buyers) >= goal
                        or all(each.done() for each in running)
                    ),
                    60,
                    "the shopping goes on",
                )
                label = f"orders-{kills % 2 + 1}"
                stack[label].kill()
                stack[label].start()
                kills += 1
            carts = [each.result(120) for each in running]
        assert kills >= 4
        for cart in carts:
            assert (cart["version"], cart["items_count"]) == (additions + 1, additions)
