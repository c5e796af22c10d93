"""Orders that cannot be expired do not keep the others from it. A trigger stands for what nobody thought of."""

import json
from contextlib import contextmanager

import psycopg
from calls import Order, add_sku, imbalances, place, unique
from stack import postgres

BISECTS = "souk_orders_bisects_total"


@contextmanager
def broken(lab, condition):
    """Orders for which this holds cannot expire."""
    url = postgres.with_database(lab.server.database_url, lab.db.info.dbname)
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(
            "SET search_path = orders;"
            "CREATE FUNCTION injected() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'injected' USING ERRCODE = 'P0999'; END $$;"
            "CREATE TRIGGER injected BEFORE UPDATE ON orders FOR EACH ROW"
            f" WHEN (NEW.status = 'expired' AND {condition}) EXECUTE FUNCTION injected()"
        )
        yield
        owner.execute("DROP TRIGGER injected ON orders")


def due(lab, count, age, **more):
    """Orders whose time has been over for so many seconds."""
    orders = [Order([("A", 1)], **more) for _ in range(count)]
    assert {each.outcome for each in place(lab.db, orders)} == {"placed"}
    ids = [each.id for each in orders]
    lab.db.execute(
        "UPDATE orders SET expires_at = now() - make_interval(secs => %s) WHERE id = ANY (%s)",
        (age, ids),
    )
    return ids


def expired(lab):
    return lab.count("orders WHERE status = 'expired'")


def failed(worker):
    lines = [json.loads(each) for each in worker.log().splitlines() if "OR-EXPIRE-FAILED" in each]
    return {(each["order"], each["sqlstate"]) for each in lines}


def test_one_bad_order_is_passed_over_until_it_is_mended(lab):
    add_sku(lab.db, "A", 100)
    ids = due(lab, 20, 60)
    bad = ids[7]
    with broken(lab, f"OLD.id = '{bad}'"):
        worker = lab.worker(SOUK_ORDERS_SWEEP_MS=20)
        lab.wait(lambda: expired(lab) == 19, "the others have expired")
        due(lab, 3, 1)
        lab.wait(lambda: expired(lab) == 22, "younger ones too")
        assert failed(worker) == {(bad, "P0999")}
        assert worker.metric(BISECTS) >= 4
    lab.wait(lambda: expired(lab) == 23, "it too")
    assert lab.count("outbox WHERE type = 'order.expired'") == 23
    assert lab.db.execute("SELECT on_hand, reserved FROM skus").fetchone() == (100, 0)
    assert imbalances(lab.db) == []


def test_a_page_of_bad_orders_does_not_end_the_pass(lab):
    add_sku(lab.db, "A", 1000)
    guest = unique("gst_")
    due(lab, 210, 60, subject=guest)
    with broken(lab, f"OLD.subject = '{guest}'"):
        worker = lab.worker(SOUK_ORDERS_SWEEP_MS=20)
        good = due(lab, 3, 1)
        lab.wait(lambda: expired(lab) == len(good), "those behind them have expired")
        assert "PG-TASK-FAILED" in worker.log()
    lab.wait(lambda: expired(lab) == 213, "all have expired")
    assert imbalances(lab.db) == []
