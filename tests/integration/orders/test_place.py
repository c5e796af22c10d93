"""Placing orders: a worker, a database, and every way in which an order can be refused."""

from calls import add_sku, imbalances, unique
from lab import order_body


def test_an_order_is_placed_and_replayed(lab):
    add_sku(lab.db, "A", 5, price=1250)
    worker, guest, key = lab.worker(), unique("gst_"), unique("k")
    body = order_body([("A", 2)], 2500)
    first = worker.one("place", body, guest, key)
    assert first.ok, first
    order = first.body
    assert (order["status"], order["payment_status"], order["fulfilment_status"]) == (
        "placed",
        "pending",
        "unfulfilled",
    )
    assert order["grand_total"] == {"amount": 2500, "currency": "EUR"}
    again = worker.one("place", body, guest, key)
    assert again.replayed and again.body == order
    read = worker.one("get", {"id": order["id"]}, guest)
    assert read.body == order
    assert worker.one("get", {"id": order["id"]}, unique("gst_")).code == "not_found"
    assert worker.one("place", order_body([("A", 1)], 1250), guest, key).code == "key_reused"
    assert lab.db.execute("SELECT on_hand, reserved FROM skus").fetchone() == (5, 2)
    assert imbalances(lab.db) == []
