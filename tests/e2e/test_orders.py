"""Orders over HTTP: a guest's cart, checkout, look-up and cancel; staff mark paid and hand over."""

import uuid

import pytest
from support.api import Api
from support.stack import Stack

ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "12 St James's Square",
    "city": "London",
    "country": "GB",
}

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def shop(servers):
    """Two orders workers, one way of shipping, two SKUs."""
    with Stack(servers, catalog=0, diag=0, orders=2) as stack:
        with stack.connect("orders") as db:
            db.execute(
                "INSERT INTO shipping_methods (id, name, price) VALUES ('standard', 'Standard', 490)"
            )
            for sku, price in (("WSB-L", 2490), ("MUG", 1200)):
                db.execute(
                    "INSERT INTO skus (sku, product_id, variant_id, product_slug, name, price, currency, sellable,"
                    " revision, on_hand) VALUES (%s, 'prod_1', 'var_1', 'slug', 'Name', %s, 'EUR', true, 1, 500)",
                    (sku, price),
                )
                db.execute(
                    "INSERT INTO stock_ledger (sku, delta, reason, actor) VALUES (%s, 500, 'receive', 'test')",
                    (sku,),
                )
        yield stack


class Guest:
    """Somebody without an account."""

    def __init__(self, api):
        made = api.post("/v1/guests", admin=False)
        assert made.status_code == 200, made.text
        self.api, self.subject = api, made.json()["subject"]
        self.headers = {"Authorization": f"Bearer {made.json()['guest_token']}"}

    def call(self, verb, path, json=None, key=None, **headers):
        more = {"Idempotency-Key": key} if key else {}
        return self.api.request(
            verb, path, json=json, admin=False, headers={**self.headers, **more, **headers}
        )


@pytest.fixture
def api(shop):
    return Api(shop)


def key():
    return uuid.uuid4().hex


def body(total, items=None):
    return {
        "items": items or [{"sku": "WSB-L", "quantity": 1}],
        "email": "ada@example.com",
        "shipping_address": ADDRESS,
        "shipping_method": "standard",
        "expected_total": {"amount": total, "currency": "EUR"},
        "payment_method": "manual",
    }


def test_a_guest_orders_from_a_cart(api):
    guest = Guest(api)
    cart = guest.call("POST", "/v1/carts", {"items": [{"sku": "MUG", "quantity": 2}]})
    assert cart.status_code == 201, cart.text
    where = f"/v1/carts/{cart.json()['id']}"
    set_up = guest.call(
        "PATCH",
        where,
        {"email": "ada@example.com", "shipping_address": ADDRESS, "shipping_method": "standard"},
        **{"If-Match": cart.headers["ETag"]},
    )
    assert set_up.status_code == 200, set_up.text
    checkout = {"expected_total": set_up.json()["grand_total"], "payment_method": "manual"}
    stale = guest.call("POST", f"{where}/checkout", checkout, key(), **{"If-Match": '"1"'})
    assert stale.status_code == 412, stale.text
    again = key()
    placed = guest.call(
        "POST", f"{where}/checkout", checkout, again, **{"If-Match": set_up.headers["ETag"]}
    )
    assert placed.status_code == 201, placed.text
    order = placed.json()
    assert order["grand_total"] == {"amount": 2890, "currency": "EUR"}
    assert placed.headers["Location"] == f"/v1/orders/{order['id']}"
    assert placed.headers["ETag"] == '"1"'
    replay = guest.call(
        "POST", f"{where}/checkout", checkout, again, **{"If-Match": set_up.headers["ETag"]}
    )
    assert replay.status_code == 201 and replay.headers["Idempotency-Replayed"] == "true"
    assert replay.json() == order
    taken = guest.call("POST", f"{where}/checkout", checkout, key())
    assert (taken.status_code, taken.json()["code"]) == (409, "cart_taken")
    assert guest.call("POST", f"{where}/checkout", checkout).status_code == 400  # no key
    read = guest.call("GET", placed.headers["Location"])
    assert read.json() == order
    unchanged = guest.call("GET", placed.headers["Location"], **{"If-None-Match": '"1"'})
    assert unchanged.status_code == 304
    listed = guest.call("GET", "/v1/orders").json()
    assert [each["id"] for each in listed["data"]] == [order["id"]] and not listed["page"]["next"]
    cancelled = guest.call("POST", f"/v1/orders/{order['id']}/cancel", None, key())
    assert cancelled.status_code == 200 and cancelled.json()["status"] == "cancelled"
    refused = guest.call("POST", f"/v1/orders/{order['id']}/cancel", None, key())
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal_transition")
    assert guest.call("GET", where).json()["status"] == "open"


def test_orders_of_others_are_not_there(api):
    one, other = Guest(api), Guest(api)
    order = one.call("POST", "/v1/orders", body(2980), key()).json()
    where = f"/v1/orders/{order['id']}"
    assert other.call("GET", where).status_code == 404
    assert other.call("GET", f"{where}/events").status_code == 404
    assert other.call("POST", f"{where}/cancel", None, key()).status_code == 404
    assert other.call("GET", f"/v1/admin/orders/{order['id']}").status_code == 403
    assert api.get(where, admin=False).status_code == 401


def test_staff_mark_paid_and_hand_over(api):
    guest = Guest(api)
    items = [{"sku": "WSB-L", "quantity": 1}, {"sku": "MUG", "quantity": 2}]
    order = guest.call("POST", "/v1/orders", body(5380, items), key()).json()
    where = f"/v1/admin/orders/{order['id']}"
    early = api.post(f"{where}/fulfilments", json={}, headers={"Idempotency-Key": key()})
    assert (early.status_code, early.json()["code"]) == (409, "illegal_transition")
    paid = api.post(f"{where}/pay", headers={"Idempotency-Key": key()})
    assert paid.status_code == 200 and paid.json()["payment_status"] == "paid", paid.text
    part = {"carrier": "DHL", "tracking": "JD1", "lines": [{"line": 2, "quantity": 1}]}
    partial = api.post(f"{where}/fulfilments", json=part, headers={"Idempotency-Key": key()})
    assert partial.json()["fulfilment_status"] == "partial", partial.text
    rest = api.post(f"{where}/fulfilments", json={}, headers={"Idempotency-Key": key()})
    assert rest.json()["status"] == "completed", rest.text
    assert rest.headers["ETag"] == '"4"'
    log = api.get(f"{where}/events").json()["data"]
    assert [each["type"] for each in log] == ["placed", "paid", "fulfilled", "fulfilled"]
    found = api.get("/v1/admin/orders", params={"number": order["number"]}).json()["data"]
    assert [each["id"] for each in found] == [order["id"]]


def test_a_refusal_is_a_problem_document(api):
    guest = Guest(api)
    answer = guest.call("POST", "/v1/orders", body(1), key())
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (409, "price_changed")
    totals = {each["pointer"]: each["reason"] for each in problem["errors"]}
    assert totals["/grand_total"] == "2980 EUR" and totals["/shipping_total"] == "490 EUR"
    missing = guest.call("POST", "/v1/orders", body(1, [{"sku": "NONE", "quantity": 1}]), key())
    assert (missing.status_code, missing.json()["code"]) == (422, "sku_unknown")
    assert missing.json()["errors"][0]["pointer"] == "/items/0/sku"


def test_pages_are_linked(api):
    guest = Guest(api)
    made = [guest.call("POST", "/v1/orders", body(2980), key()).json()["id"] for _ in range(3)]
    first = guest.call("GET", "/v1/orders?limit=2")
    assert [each["id"] for each in first.json()["data"]] == made[:0:-1]
    link = first.links["next"]["url"]
    second = guest.call("GET", link)
    assert [each["id"] for each in second.json()["data"]] == made[:1]
    assert "next" not in second.links
