"""Calls that meet in one batch do not pay for each other: with their time, with their twins."""

import msgpack
from calls import add_sku, imbalances, unique
from lab import Answer, order_body

BODY = order_body([("A", 1)], 1000)
BLOCKED = "pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
TIMEOUTS = 'souk_pg_statements_total{service="orders",outcome="timeout"}'


def batch(lab, worker, connect, requests):
    """Sends them while another call has the only slot, so that they are one batch."""
    add_sku(lab.db, "FIRST", 1)
    holder = connect(autocommit=False)
    holder.execute("SELECT FROM skus WHERE sku = 'FIRST' FOR UPDATE")
    first = worker.put("place", order_body([("FIRST", 1)], 1000), unique("gst_"), unique("k"))
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
