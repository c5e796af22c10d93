"""Calls that meet in one batch do not pay for each other: with their time, with their twins, with their refusals."""

import msgpack
from calls import add_sku, imbalances, unique
from lab import Answer, order_body

BODY = order_body([("A", 1)], 1000)
BLOCKED = "pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
TIMEOUTS = 'souk_pg_statements_total{service="orders",outcome="timeout"}'


def batch(lab, worker, connect, requests):
    """Sends them while another call has the only slot, so that they are one batch."""
    sku, holder = unique("S"), connect(autocommit=False)
    add_sku(lab.db, sku, 1)
    holder.execute("SELECT FROM skus WHERE sku = %s FOR UPDATE", (sku,))
    first = worker.put("place", order_body([(sku, 1)], 1000), unique("gst_"), unique("k"))
    worker.send(first)
    lab.wait(lambda: lab.count(BLOCKED) == 1, "the slot waits for the first")
    worker.send(*requests)
    worker.settle()
    holder.commit()
    assert Answer(worker.answer(first[2])).ok


def fresh(worker, count, **more):
    return [worker.put("place", BODY, unique("gst_"), unique("k"), **more) for _ in range(count)]


def answers(worker, requests):
    return [Answer(worker.answer(each[2], 30)) for each in requests]


def test_a_call_without_time_is_not_begun(lab, connect):
    add_sku(lab.db, "A", 100)
    worker, holder = lab.worker(), connect(autocommit=False)
    holder.execute("SELECT FROM skus FOR UPDATE")
    requests = fresh(worker, 8) + fresh(worker, 1, timeout_ms=60) + fresh(worker, 1, timeout_ms=40)
    worker.send(*requests)
    lab.wait(lambda: lab.count(BLOCKED) == 1, "the slot waits for the SKU")
    holder.commit()
    found = answers(worker, requests)
    assert [each.code for each in found] == [None] * 8 + ["deadline_exceeded"] * 2
    assert lab.count("orders") == lab.count("idempotency") == 8 and imbalances(lab.db) == []


def test_a_hasty_call_takes_its_own_time_only(lab, connect):
    """A SKU is held for longer than some calls have: they are told that nothing was done, the others are placed."""
    add_sku(lab.db, "A", 100)
    worker, holder = lab.worker(), connect(autocommit=False)
    holder.execute("SELECT FROM skus WHERE sku = 'A' FOR UPDATE")
    requests = [
        *fresh(worker, 8, timeout_ms=20000),
        *fresh(worker, 1, timeout_ms=3000),
        *fresh(worker, 1, timeout_ms=2000),
        *fresh(worker, 8, timeout_ms=20000),
    ]
    batch(lab, worker, connect, requests)
    lab.wait(lambda: worker.metric(TIMEOUTS) >= 2, "the time of two is over")
    lab.wait(lambda: lab.count(BLOCKED) == 1, "the others wait")
    holder.commit()
    found = answers(worker, requests)
    late = ["deadline_exceeded"] * 2
    assert [each.code for each in found] == [None] * 8 + late + [None] * 8
    assert lab.count("orders") == lab.count("idempotency") == 17 and imbalances(lab.db) == []


def test_a_stuck_twin_is_waited_for_when_the_others_are_through(lab, connect):
    add_sku(lab.db, "A", 100)
    worker, other = lab.worker(), connect(autocommit=False)
    guest, key = unique("gst_"), unique("k")
    twin = worker.put("place", BODY, guest, key)
    other.execute(
        "INSERT INTO idempotency (subject, method, key, hash, reply) VALUES (%s, 'place', %s, %s, %s)",
        (guest, key, twin[11], msgpack.packb({"id": "of the twin"})),
    )
    requests = [twin, *fresh(worker, 16)]
    batch(lab, worker, connect, requests)
    lab.wait(lambda: lab.count("orders") == 17, "all others are placed")
    other.commit()
    first, *found = answers(worker, requests)
    assert first.replayed and first.body == {"id": "of the twin"}, first
    assert all(each.ok for each in found)
    assert imbalances(lab.db) == []


def test_twins_of_a_refused_cancellation_are_refused_alike(lab, connect):
    add_sku(lab.db, "A", 100)
    worker, guest, key = lab.worker(), unique("gst_"), unique("k")
    where = {"id": worker.one("place", BODY, guest, unique("k")).body["id"]}
    assert worker.one("cancel", where, guest, unique("k")).ok
    requests = [worker.put("cancel", where, guest, key) for _ in range(12)]
    batch(lab, worker, connect, requests)
    assert {each.code for each in answers(worker, requests)} == {"illegal_transition"}
    # Another request under the key is not taken for one of them.
    missing = {"id": unique("ord_")}
    requests = [worker.put("cancel", one, guest, key) for one in (where, missing) * 3]
    batch(lab, worker, connect, requests)
    codes = [each.code for each in answers(worker, requests)]
    assert codes == ["illegal_transition", "not_found"] * 3


def test_checkouts_of_a_cart_that_lacks_stock_are_refused_alike(lab, connect):
    add_sku(lab.db, "A", 1)
    worker, guest = lab.worker(), unique("gst_")
    cart = lab.cart(guest, [("A", 2)])
    body = order_body(None, 2000, cart_id=cart)
    requests = [worker.put("place", body, guest, unique("k")) for _ in range(12)]
    batch(lab, worker, connect, requests)
    assert {each.code for each in answers(worker, requests)} == {"insufficient_stock"}
    assert lab.count("carts WHERE id = %s AND status = 'open'", cart) == 1


def test_a_cart_is_checked_out_once_however_its_checkouts_differ(lab, connect):
    """The first two are refused by their code, the third takes the cart."""
    add_sku(lab.db, "A", 100)
    lab.db.execute(
        "INSERT INTO discount_codes (code, kind, value, limit_total, limit_per_customer)"
        " VALUES ('ONCE', 'fixed', 100, NULL, 1)"
    )
    worker, guest = lab.worker(), unique("gst_")
    used = order_body([("A", 1)], 900, discount_code="ONCE")
    assert worker.one("place", used, guest, unique("k")).ok
    cart = lab.cart(guest, [("A", 2)])
    bodies = [order_body(None, 1900, cart_id=cart, discount_code="ONCE")] * 2
    bodies += [order_body(None, 2000, cart_id=cart)] * 8
    requests = [worker.put("place", body, guest, unique("k")) for body in bodies]
    batch(lab, worker, connect, requests)
    codes = [each.code for each in answers(worker, requests)]
    assert codes == ["discount_used_up"] * 2 + [None] + ["cart_taken"] * 7
    assert lab.count("orders WHERE cart_id = %s", cart) == 1 and imbalances(lab.db) == []
