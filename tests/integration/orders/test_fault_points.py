"""A worker is killed around each commit; the client repeats with its key, at another worker: the effect is there once."""

import signal

import pytest
from calls import add_sku, imbalances, unique
from lab import order_body

STAFF = "usr_01JD3YV4M8Q6T0R7ZK5N2X9W1B"
PLACES = ("before_commit", "after_commit_before_reply")


def dies(worker):
    """Waits until the fault point has killed it."""
    assert worker.process.wait(30) == -signal.SIGKILL, worker.log()


@pytest.mark.parametrize("place", PLACES)
def test_a_repeated_request_has_one_effect(lab, place):
    add_sku(lab.db, "A", 100)
    sound = lab.worker()
    guest = unique("gst_")
    orders = {
        step: sound.one("place", order_body([("A", 2)], 2000), guest, unique("k")).body
        for step in ("cancel", "pay", "fulfil")
    }
    sound.one("admin_pay", {"id": orders["fulfil"]["id"]}, STAFF, unique("k"))
    calls = {
        "place": ("place", order_body([("A", 2)], 2000), guest),
        "cancel": ("cancel", {"id": orders["cancel"]["id"]}, guest),
        "pay": ("admin_pay", {"id": orders["pay"]["id"]}, STAFF),
        "fulfil": ("admin_fulfil", {"id": orders["fulfil"]["id"]}, STAFF),
    }
    for step, (method, body, subject) in calls.items():
        faulty, key = lab.worker(SOUK_FAULT=f"orders.{step}.{place}"), unique("k")
        faulty.send(faulty.put(method, body, subject, key))
        dies(faulty)
        again = sound.one(method, body, subject, key)
        assert again.ok, (step, again)
        assert again.replayed == (place == PLACES[1]), step
        assert sound.one(method, body, subject, key).body == again.body
    assert lab.count("orders") == 4 and imbalances(lab.db) == []
    assert lab.count("outbox") == 4 + 4  # placed four times; paid twice, cancelled, fulfilled
    assert lab.db.execute("SELECT on_hand, reserved FROM skus").fetchone() == (96, 2)


@pytest.mark.parametrize("place", PLACES)
def test_an_order_expires_once_though_the_sweeper_dies(lab, place):
    add_sku(lab.db, "A", 5)
    slow = lab.worker(SOUK_ORDERS_SWEEP_MS=3600000)
    order = slow.one("place", order_body([("A", 2)], 2000), unique("gst_"), unique("k")).body
    faulty = lab.worker(SOUK_ORDERS_SWEEP_MS=20, SOUK_FAULT=f"orders.expire.{place}")
    lab.db.execute("UPDATE orders SET expires_at = now() - interval '1 second'")
    dies(faulty)
    lab.worker(SOUK_ORDERS_SWEEP_MS=20)
    lab.wait(lambda: lab.count("orders WHERE status = 'expired'") == 1, "it has expired")
    assert lab.count("outbox WHERE aggregate = %s", order["id"]) == 2
    assert lab.db.execute("SELECT on_hand, reserved FROM skus").fetchone() == (5, 0)
    assert imbalances(lab.db) == []
