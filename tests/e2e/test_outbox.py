"""What services tell others while somebody registers, buys, cancels, pays and gets what was bought: declared events, whole and in order."""

import json

import pytest
from support.api import Api, soukctl
from support.outbox import violations
from support.stack import Stack

SKU = "KAB-WALNSERVBOAR-LARGE"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def stack(servers):
    with Stack(servers, catalog=1, diag=0, users=1, orders=1) as started:
        started.seed()
        yield started


@pytest.fixture(scope="module")
def story(stack):
    """Two orders of a new user: one cancelled, one paid and handed over in two parts."""
    api = Api(stack)

    def post(path, body=None, key=None, good=(200, 201, 202, 204), **options):
        headers = {**options.pop("headers", {}), **({"Idempotency-Key": key} if key else {})}
        answer = api.post(path, json=body, headers=headers, **options)
        assert answer.status_code in good, answer.text
        return answer.json() if answer.text else None

    post("/v1/users", {"email": "zoë@example.com", "password": PASSWORD})
    post("/v1/users", {"email": "ZOË@example.com", "password": "another password"})
    login = post("/v1/auth/login", {"email": "zoë@example.com", "password": PASSWORD})
    bearer = {"Authorization": f"Bearer {login['access_token']}"}
    post("/v1/auth/password-reset", {"email": "zoë@example.com"})

    def place(key, quantity):
        body = {
            "items": [{"sku": SKU, "quantity": quantity}],
            "email": "zoe@example.com",
            "shipping_address": {
                "name": "Zoë",
                "line1": "Rue du Bac 1",
                "postal_code": "75007",
                "city": "Paris",
                "country": "FR",
            },
            "shipping_method": "express",
            "expected_total": {"amount": 6900 * quantity + 1290, "currency": "EUR"},
            "payment_method": "manual",
        }
        return post("/v1/orders", body, key, headers=bearer)["id"]

    cancelled, sold = place("one", 1), place("two", 2)
    post(f"/v1/orders/{cancelled}/cancel", key="three", headers=bearer)
    admin = f"/v1/admin/orders/{sold}"
    post(f"{admin}/pay", key="four")
    part = {"carrier": "DHL", "tracking": "1", "lines": [{"line": 1, "quantity": 1}]}
    post(f"{admin}/fulfilments", part, "five")
    post(f"{admin}/fulfilments", {}, "six")
    return {"cancelled": cancelled, "sold": sold}


@pytest.mark.parametrize("service", ["users", "orders"])
def test_rows_are_as_declared(stack, story, service):
    assert list(violations(stack.connect(service), service)) == []


def test_an_orders_events_tell_its_life(stack, story):
    rows = stack.connect("orders").execute("SELECT aggregate, type FROM outbox ORDER BY sequence")
    lives = {}
    for aggregate, kind in rows:
        lives.setdefault(aggregate, []).append(kind)
    assert lives == {
        story["cancelled"]: ["order.placed", "order.cancelled"],
        story["sold"]: ["order.placed", "order.paid", "order.fulfilled", "order.fulfilled"],
    }


def test_soukctl_shows_the_token_that_a_mail_would_bring(stack, story):
    urls = stack.service_urls
    kinds = ("user.registered", "user.register_attempted", "user.password_reset_requested")
    shown = {}
    for kind in kinds:
        done = soukctl(stack, "outbox", "show", "--service", "users", "--type", kind, env=urls)
        (shown[kind],) = map(json.loads, done.stdout.splitlines())
    assert {row["aggregate"] for row in shown.values()} == {shown[kinds[0]]["aggregate"]}
    token = shown["user.password_reset_requested"]["payload"]["token"]
    body = {"token": token, "password": "a third password"}
    done = Api(stack).post("/v1/auth/password-reset/confirm", json=body)
    assert done.status_code in (200, 204), done.text
