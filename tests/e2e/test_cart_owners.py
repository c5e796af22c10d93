"""Whose a cart is: guests, users, and a guest's cart that a user takes over."""

import base64
import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.api import Api, refused
from support.buyers import Buyer
from support.carts import ADDRESS, shelf_with_prices
from support.stack import Stack


@pytest.fixture(scope="module")
def stack(servers):
    with Stack(servers, catalog=0, diag=0, orders=2, users=1) as started:
        yield started


@pytest.fixture(scope="module")
def shelf(stack):
    return shelf_with_prices(stack)


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
