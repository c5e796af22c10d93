"""place_batch and settle_orders against each other from many connections, without a worker: whatever meets, the books agree."""

import random
import threading

import psycopg
import pytest
from calls import Order, add_sku, imbalances, place, settle, unique

SKUS, CALLS, BATCH, PLACERS = 12, 25, 40, 4


def placer(db, seed, skus, twins, seen):
    rnd = random.Random(seed)
    for _ in range(CALLS):
        orders = []
        for _ in range(rnd.randint(1, BATCH)):
            more = {}
            if rnd.random() < 0.2:
                more["subject"], more["key"] = rnd.choice(twins)
            if rnd.random() < 0.3:
                more |= {"code": "TEN", "email": f"e{rnd.randint(1, 9)}@example.com"}
            more["network"] = rnd.choice([None, "192.0.2.1", "192.0.2.2"])
            lines = [(sku, rnd.randint(1, 3)) for sku in rnd.sample(skus, rnd.randint(1, 3))]
            orders.append(Order(lines, refused=rnd.random() < 0.05, **more))
        limits = rnd.choice([0, 3]), rnd.choice([0, 50])
        try:
            found = place(db, orders, *limits, stock_last=rnd.random() < 0.5)
        except psycopg.errors.SerializationFailure:  # its guess was wrong
            seen.append("guessed wrong")
            found = place(db, orders, *limits)
        seen += [one.outcome for one in found]


def settler(db, seed, seen, placed_all):
    """So many calls that have orders before them, as long as some may still come."""
    rnd = random.Random(seed)
    calls = 0
    while calls < CALLS:
        last_look = placed_all.is_set()
        rows = db.execute(
            "SELECT id FROM orders WHERE status = 'placed' ORDER BY random() LIMIT 30"
        )
        ids = [row[0] for row in rows]
        if ids:
            calls += 1
            move = rnd.choice(["cancel", "cancel", "pay", "expire"])
            seen += [f"{move} {one.outcome}" for one in settle(db, move, ids)]
        elif last_look:
            return


def upserter(db, skus):
    """As the catalogue's follower: sorted."""
    for _ in range(2 * CALLS):
        db.execute(
            "UPDATE skus SET revision = revision + 1 FROM (SELECT sku AS s FROM skus WHERE sku = ANY (%s)"
            " ORDER BY sku FOR NO KEY UPDATE) x WHERE sku = x.s",
            (skus,),
        )


def test_the_books_agree_whatever_meets(connect):
    db = connect()
    skus = [f"S{at}" for at in range(SKUS)]
    for sku in skus:
        add_sku(db, sku, 300)
    db.execute(
        "INSERT INTO discount_codes (code, kind, value, limit_total, limit_per_customer)"
        " VALUES ('TEN', 'fixed', 10, 60, 20)"
    )
    twins = [(unique("gst_"), unique("k")) for _ in range(30)]
    seen, failed, wrong = [], [], []
    placed_all = threading.Event()

    def guarded(work, *arguments):
        try:
            work(connect(), *arguments)
        except Exception as error:
            failed.append(error)

    work = [(placer, seed, skus, twins, seen) for seed in range(PLACERS)]
    work += [(settler, 100 + seed, seen, placed_all) for seed in range(3)]
    work += [(upserter, skus)]
    threads = [threading.Thread(target=guarded, args=each) for each in work]
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        wrong += imbalances(db)
        if not any(each.is_alive() for each in threads[:PLACERS]):
            placed_all.set()
    assert failed == [] and wrong == [] and imbalances(db) == []
    assert {"placed", "replayed", "refused", "cancel done", "pay done"} <= set(seen)
    doubles = db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM idempotency GROUP BY subject, key HAVING count(*) > 1) x"
    )
    assert doubles.fetchone()[0] == 0
    orders, keys = (
        db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("orders", "idempotency")
    )
    assert orders == keys  # each order has its key, and no key is without its order
    used = db.execute("SELECT used FROM discount_codes").fetchone()[0]
    assert 0 <= used <= 60


def test_a_cart_is_its_owners(db):
    add_sku(db, "A", 5)
    owner, cart = unique("gst_"), unique("cart_")
    db.execute(
        "INSERT INTO carts (id, subject, expires_at) VALUES (%s, %s, now() + interval '1 day')",
        (cart, owner),
    )
    stranger = Order([("A", 1)], cart=cart, cart_version=1)
    owners = Order([("A", 1)], cart=cart, cart_version=1, subject=owner)
    assert [each.outcome for each in place(db, [stranger, owners])] == ["stale", "placed"]
    rows = db.execute("SELECT subject FROM orders").fetchall()
    assert rows == [(owner,)] and imbalances(db) == []


def test_stock_that_is_taken_last_and_is_short_leaves_nothing(db):
    add_sku(db, "A", 5)
    add_sku(db, "B", 1)
    orders = [Order([("A", 1), ("B", 1)]), Order([("B", 1)])]
    with pytest.raises(psycopg.errors.SerializationFailure):
        place(db, orders, stock_last=True)
    for table in ("orders", "order_lines", "outbox", "idempotency"):
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0
    assert db.execute("SELECT sum(reserved) FROM skus").fetchone()[0] == 0
    outcomes = place(db, orders)
    assert [each.outcome for each in outcomes] == ["placed", "stock"]
    assert (outcomes[1].at, outcomes[1].remaining) == (1, 0) and imbalances(db) == []
    assert [each.outcome for each in place(db, [Order([("A", 2)])], stock_last=True)] == ["placed"]


def test_stock_that_is_taken_last_at_another_price_leaves_nothing(db):
    add_sku(db, "A", 5, price=900)
    with pytest.raises(psycopg.errors.SerializationFailure):
        place(db, [Order([("A", 1)])], stock_last=True)
    assert [each.outcome for each in place(db, [Order([("A", 1)])])] == ["stale"]
    assert db.execute("SELECT count(*) FROM orders").fetchone()[0] == 0 and imbalances(db) == []


@pytest.mark.parametrize("stock_last", [False, True])
def test_skus_are_locked_in_the_order_of_their_bytes(connect, stock_last):
    """While one waits for B it has A, and not yet C: whatever the plan, and however many SKUs there are."""
    db, holder = connect(), connect()
    for sku in ["C", "B", "A", *(f"S{at}" for at in range(200))]:
        add_sku(db, sku, 5)
    db.execute("ANALYZE skus")
    holder.execute("BEGIN")
    holder.execute("SELECT FROM skus WHERE sku = 'B' FOR UPDATE")
    waiting, failed = connect(), []

    def waiter():
        try:
            place(waiting, [Order([("C", 1), ("A", 1), ("B", 1)])], stock_last=stock_last)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=waiter)
    thread.start()
    pid = waiting.info.backend_pid
    while not db.execute("SELECT pg_blocking_pids(%s) <> '{}'", (pid,)).fetchone()[0]:
        assert thread.is_alive()
    free = db.execute("SELECT sku FROM skus WHERE sku IN ('A', 'B', 'C') FOR UPDATE SKIP LOCKED")
    assert [row[0] for row in free] == ["C"]
    holder.execute("COMMIT")
    thread.join()
    assert failed == [] and imbalances(db) == []
