"""What becomes of a placed order: paid, cancelled, expired, handed over, read and listed."""

import threading

import msgpack
from calls import add_sku, imbalances, unique
from lab import order_body

STAFF = "usr_01JD3YV4M8Q6T0R7ZK5N2X9W1B"


def placed(lab, worker, guest, items=(("A", 2),), **more):
    total = sum(1000 * quantity for _, quantity in items)
    answer = worker.one("place", order_body(items, total, **more), guest, unique("k"))
    assert answer.ok, answer
    return answer.body


def stock(lab, sku="A"):
    return lab.db.execute("SELECT on_hand, reserved FROM skus WHERE sku = %s", (sku,)).fetchone()


def types(lab, order):
    rows = lab.db.execute(
        "SELECT type, sequence FROM outbox WHERE aggregate = %s ORDER BY sequence", (order["id"],)
    )
    return [tuple(row) for row in rows]


def test_an_order_is_paid_and_its_stock_leaves(lab):
    add_sku(lab.db, "A", 5)
    worker, guest = lab.worker(), unique("gst_")
    order = placed(lab, worker, guest)
    key = unique("k")
    paid = worker.one("admin_pay", {"id": order["id"]}, STAFF, key)
    assert (paid.body["status"], paid.body["payment_status"], paid.body["version"]) == (
        "confirmed",
        "paid",
        2,
    )
    assert paid.body["expires_at"] is None and paid.body["paid_at"] is not None
    assert stock(lab) == (3, 0)
    again = worker.one("admin_pay", {"id": order["id"]}, STAFF, key)
    assert again.replayed and again.body == paid.body
    assert worker.one("get", {"id": order["id"]}, guest).body == paid.body
    refused = worker.one("admin_pay", {"id": order["id"]}, STAFF, unique("k"))
    assert refused.code == "illegal_transition"
    assert "order: no move pay from the state confirmed" in refused.body["detail"]
    assert refused.fields == {"/status": "is confirmed"}
    assert worker.one("cancel", {"id": order["id"]}, guest, unique("k")).code == (
        "illegal_transition"
    )
    assert types(lab, order) == [("order.placed", 1), ("order.paid", 2)]
    assert lab.count("audit WHERE actor = %s AND action = 'orders.pay'", STAFF) == 1
    assert lab.count("stock_ledger WHERE reason = 'sale' AND order_id = %s", order["id"]) == 1
    assert worker.metric('souk_orders_revenue_minor_total{currency="EUR"}') == 2000
    assert imbalances(lab.db) == []


def test_a_guest_cancels_and_the_reservation_returns_once(lab):
    add_sku(lab.db, "A", 5)
    worker, guest = lab.worker(), unique("gst_")
    order = placed(lab, worker, guest)
    assert worker.one("cancel", {"id": order["id"]}, unique("gst_"), unique("k")).code == (
        "not_found"
    )
    # Five at once, in one batch and under keys of their own: one cancels.
    answers = worker.together(
        *[worker.put("cancel", {"id": order["id"]}, guest, unique("k")) for _ in range(5)]
    )
    assert sorted(answer.code or "ok" for answer in answers) == ["illegal_transition"] * 4 + ["ok"]
    body = next(answer.body for answer in answers if answer.ok)
    assert (body["status"], body["payment_status"], body["fulfilment_status"]) == (
        "cancelled",
        "voided",
        "void",
    )
    assert stock(lab) == (5, 0)
    assert types(lab, order) == [("order.placed", 1), ("order.cancelled", 2)]
    assert imbalances(lab.db) == []


def test_staff_cancel_any_order(lab):
    add_sku(lab.db, "A", 5)
    worker = lab.worker()
    order = placed(lab, worker, unique("gst_"))
    assert worker.one("admin_cancel", {"id": order["id"]}, STAFF, unique("k")).ok
    assert lab.count("audit WHERE action = 'orders.cancel' AND target = %s", order["id"]) == 1
    missing = {"id": "ord_01JD3YV4M8Q6T0R7ZK5N2X9W1B"}
    assert worker.one("admin_cancel", missing, STAFF, unique("k")).code == "not_found"


def test_unpaid_orders_expire_though_several_workers_sweep(lab):
    add_sku(lab.db, "A", 50)
    lab.db.execute(
        "INSERT INTO discount_codes (code, kind, value, limit_total) VALUES ('TEN', 'fixed', 10, 10)"
    )
    workers = [lab.worker(SOUK_ORDERS_RESERVE_S=1, SOUK_ORDERS_SWEEP_MS=20) for _ in range(3)]
    guest = unique("gst_")
    cart = lab.cart(guest, [("A", 2)])
    first = workers[0].one(
        "place",
        order_body(None, 1990, cart_id=cart, discount_code="ten"),
        guest,
        unique("k"),
    )
    assert first.ok, first
    orders = [first.body] + [placed(lab, worker, unique("gst_")) for worker in workers]
    lab.wait(lambda: lab.count("orders WHERE status = 'expired'") == len(orders), "all expired")
    for order in orders:
        assert types(lab, order) == [("order.placed", 1), ("order.expired", 2)]
    assert stock(lab) == (50, 0)
    assert lab.count("discount_uses") == 0 and imbalances(lab.db) == []
    assert lab.count("carts WHERE status = 'open'") == 1
    read = workers[1].one("get", {"id": first.body["id"]}, guest).body
    assert read["status"] == "expired" and read["payment_status"] == "voided"


def test_cancelling_races_expiry_and_paying(lab):
    add_sku(lab.db, "A", 500)
    workers = [lab.worker(slots=2) for _ in range(3)]
    guest = unique("gst_")
    orders = [placed(lab, workers[0], guest)["id"] for _ in range(15)]
    lab.db.execute("UPDATE orders SET expires_at = now() - interval '1 second'")

    def run(worker, method, subject):
        worker.together(*[worker.put(method, {"id": one}, subject, unique("k")) for one in orders])

    threads = [
        threading.Thread(target=run, args=args)
        for args in zip(
            workers, ("cancel", "admin_cancel", "admin_pay"), (guest, STAFF, STAFF), strict=True
        )
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert lab.count("orders WHERE status = 'placed'") == 0
    assert lab.count("outbox") == 2 * len(orders)  # each was settled once
    assert imbalances(lab.db) == []


def test_an_order_is_handed_over_in_parts(lab):
    add_sku(lab.db, "A", 5)
    add_sku(lab.db, "B", 5)
    worker, guest = lab.worker(), unique("gst_")
    order = placed(lab, worker, guest, (("A", 3), ("B", 1)))
    where = {"id": order["id"]}
    unpaid = worker.one("admin_fulfil", where, STAFF, unique("k"))
    assert unpaid.code == "illegal_transition" and "from the state placed" in unpaid.body["detail"]
    worker.one("admin_pay", where, STAFF, unique("k"))
    first = {**where, "carrier": "DHL", "tracking": "JD01", "lines": [{"line": 1, "quantity": 2}]}
    key = unique("k")
    part = worker.one("admin_fulfil", first, STAFF, key)
    assert (part.body["status"], part.body["fulfilment_status"]) == ("confirmed", "partial")
    assert [line["fulfilled"] for line in part.body["items"]] == [2, 0]
    assert part.body["fulfilments"][0]["lines"] == [{"line": 1, "quantity": 2}]
    assert part.body["fulfilments"][0]["tracking"] == "JD01"
    assert worker.one("admin_fulfil", first, STAFF, key).replayed
    over = worker.one(
        "admin_fulfil", {**where, "lines": [{"line": 1, "quantity": 2}]}, STAFF, unique("k")
    )
    assert over.code == "over_fulfilment" and over.fields == {
        "/lines/0/quantity": "1 left of line 1"
    }
    twice = [{"line": 1, "quantity": 1}, {"line": 1, "quantity": 1}]
    over = worker.one("admin_fulfil", {**where, "lines": twice}, STAFF, unique("k"))
    assert over.code == "over_fulfilment" and "/lines/1/quantity" in over.fields
    unknown = {**where, "lines": [{"line": 9, "quantity": 1}]}
    assert worker.one("admin_fulfil", unknown, STAFF, unique("k")).fields == {
        "/lines/0/line": "the order has 2 lines"
    }
    rest = worker.one("admin_fulfil", where, STAFF, unique("k"))
    assert (rest.body["status"], rest.body["fulfilment_status"]) == ("completed", "fulfilled")
    assert [line["fulfilled"] for line in rest.body["items"]] == [3, 1]
    assert worker.one("get", where, guest).body == rest.body
    assert worker.one("admin_fulfil", where, STAFF, unique("k")).code == "illegal_transition"
    assert [name for name, _ in types(lab, order)] == [
        "order.placed",
        "order.paid",
        "order.fulfilled",
        "order.fulfilled",
    ]
    log = worker.one("admin_events", where, STAFF).body["data"]
    assert [each["type"] for each in log] == ["placed", "paid", "fulfilled", "fulfilled"]
    assert [each["sequence"] for each in log] == [1, 2, 3, 4]
    assert log[0]["actor"] == guest and log[1]["actor"] == STAFF
    assert log[2]["fulfilment_id"] == part.body["fulfilments"][0]["id"]
    own = worker.one("events", where, guest).body["data"]
    assert len(own) == 4 and not any("actor" in each for each in own)
    assert worker.one("events", where, unique("gst_")).code == "not_found"
    assert lab.count("audit WHERE action = 'orders.fulfil'") == 2


def test_parts_race_and_never_exceed_what_was_ordered(lab):
    add_sku(lab.db, "A", 20)
    workers = [lab.worker(slots=2) for _ in range(2)]
    order = placed(lab, workers[0], unique("gst_"), (("A", 10),))
    workers[0].one("admin_pay", {"id": order["id"]}, STAFF, unique("k"))
    body = {"id": order["id"], "lines": [{"line": 1, "quantity": 1}]}
    codes = []

    def run(worker):
        for _ in range(8):
            answer = worker.one("admin_fulfil", body, STAFF, unique("k"))
            codes.append("ok" if answer.ok else answer.code)

    threads = [threading.Thread(target=run, args=(worker,)) for worker in workers]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert codes.count("ok") == 10
    assert set(codes) == {"ok", "illegal_transition"}
    row = lab.db.execute("SELECT status, fulfilment_status FROM orders").fetchone()
    assert row == ("completed", "fulfilled")
    assert lab.db.execute("SELECT sum(quantity) FROM fulfilment_lines").fetchone()[0] == 10


def test_lists_page_by_keyset_and_filter(lab):
    add_sku(lab.db, "A", 100)
    add_sku(lab.db, "B", 100)
    worker, guest = lab.worker(), unique("gst_")
    mine = [placed(lab, worker, guest)["id"] for _ in range(5)]
    other = placed(lab, worker, unique("gst_"), (("B", 1),), email="Grace@Example.COM")
    worker.one("admin_pay", {"id": other["id"]}, STAFF, unique("k"))
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = worker.one("list", query, guest).body
        seen += [each["id"] for each in page["data"]]
        cursor = page["page"]["next"]
        if cursor is None:
            break
    assert seen == mine[::-1]
    assert page["data"][0]["items_count"] == 2
    assert worker.one("list", {"cursor": "nonsense"}, guest).code == "malformed"

    def found(**query):
        return [each["id"] for each in worker.one("admin_list", query, STAFF).body["data"]]

    everything = [other["id"], *seen]
    assert found() == everything
    assert found(limit=1) == everything[:1]
    assert found(status="confirmed") == found(payment_status="paid") == [other["id"]]
    assert found(status="placed", sku="B") == []
    assert found(fulfilment_status="unfulfilled") == everything
    assert found(email="grace@example.com") == found(sku="B") == [other["id"]]
    assert found(number=other["number"]) == [other["id"]]
    assert found(subject=guest) == seen
    at = lab.db.execute("SELECT placed_at FROM orders WHERE id = %s", (mine[2],)).fetchone()[0]
    moment = msgpack.Timestamp.from_datetime(at)
    assert found(**{"from": moment}) == [other["id"], *seen[:3]]
    assert found(to=moment) == seen[3:]
