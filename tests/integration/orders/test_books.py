"""The books are looked at by one worker, beside everything else, and nobody says that they agree who does not know."""

import psycopg
import pytest
from calls import add_sku, unique
from lab import order_body
from stack import postgres

GAUGE = "souk_orders_imbalances"
WAITS = "pg_locks WHERE NOT granted AND relation = 'stock_ledger'::regclass"


@pytest.fixture
def owner(lab):
    url = postgres.with_database(lab.server.database_url, lab.db.info.dbname)
    with psycopg.connect(url, autocommit=True, options="-csearch_path=orders") as connection:
        yield connection


def looker(lab, workers, value):
    """The worker that knows, once its gauge is value and the others say that they do not know."""

    def found():
        gauges = [each.metric(GAUGE) for each in workers]
        is_so = sorted(gauges) == [-1] * (len(workers) - 1) + [value]
        return is_so and workers[gauges.index(value)]

    return lab.wait(found, f"one gauge is {value}")


def test_one_worker_looks_and_another_takes_over(lab):
    add_sku(lab.db, "A", 5)
    workers = [lab.worker(SOUK_ORDERS_BOOKS_MS=100) for _ in range(3)]
    first = looker(lab, workers, 0)
    lab.db.execute("UPDATE skus SET on_hand = 6")
    assert looker(lab, workers, 1) is first
    assert "OR-IMBALANCE" in first.log()
    first.process.kill()
    looker(lab, [each for each in workers if each is not first], 1)


def test_a_look_that_fails_says_nothing(lab, owner):
    worker = lab.worker(SOUK_ORDERS_BOOKS_MS=100)
    looker(lab, [worker], 0)
    owner.execute("REVOKE SELECT ON stock_imbalances FROM souk_orders")
    lab.wait(lambda: worker.metric(GAUGE) == -1, "it does not know")
    owner.execute("GRANT SELECT ON stock_imbalances TO souk_orders")
    looker(lab, [worker], 0)


def test_orders_expire_while_a_look_takes_long(lab, owner):
    add_sku(lab.db, "A", 5)
    worker = lab.worker(SOUK_ORDERS_BOOKS_MS=100, SOUK_ORDERS_SWEEP_MS=20, SOUK_ORDERS_RESERVE_S=1)
    with owner.transaction():
        owner.execute("LOCK TABLE stock_ledger IN ACCESS EXCLUSIVE MODE")
        lab.wait(lambda: lab.count(WAITS) > 0, "a look waits")
        body = order_body([("A", 1)], 1000)
        assert worker.one("place", body, unique("gst_"), unique("k")).ok
        lab.wait(lambda: lab.count("orders WHERE status = 'expired'") == 1, "it expires")
        assert lab.count(WAITS) > 0
