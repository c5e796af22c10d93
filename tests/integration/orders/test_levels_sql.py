"""Levels of stock, and a reader that follows their changes by transactions: nothing is missed, whatever commits when."""

import random
import threading

import pytest
from calls import add_sku

NONE, LOW, IN_STOCK = 0, 1, 2


class Reader:
    """Follows as workers/orders/availability.c does."""

    def __init__(self, db):
        self.db, self.since, self.known = db, 0, {}

    def poll(self, limit=3):
        """One pass; how many rows it saw."""
        horizon, seen, at = None, 0, (self.since, "")
        while True:
            rows = self.db.execute(
                "SELECT x.horizon, s.sku, s.level, s.level_tx FROM"
                " (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon) x LEFT JOIN LATERAL"
                " (SELECT sku, level, level_tx FROM skus WHERE (level_tx, sku) > (%s, %s)"
                "  ORDER BY level_tx, sku LIMIT %s) s ON true ORDER BY s.level_tx, s.sku",
                (*at, limit),
            ).fetchall()
            horizon = horizon or rows[0][0]
            rows = [row[1:] for row in rows if row[1] is not None]
            self.known |= {sku: level for sku, level, _ in rows}
            seen += len(rows)
            if len(rows) < limit:
                break
            at = (rows[-1][2], rows[-1][0])
        self.since = horizon
        return seen


def level(db, sku):
    return db.execute("SELECT level FROM skus WHERE sku = %s", (sku,)).fetchone()[0]


def truth(db):
    return dict(db.execute("SELECT sku, level FROM skus").fetchall())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("on_hand = 0", NONE),
        ("on_hand = 5", LOW),
        ("on_hand = 6", IN_STOCK),
        ("reserved = 95", LOW),
        ("reserved = 94", IN_STOCK),
        ("reserved = 100", NONE),
        ("low_at = 100", LOW),
        ("low_at = 0, reserved = 99", IN_STOCK),
        ("sellable = false", NONE),
    ],
)
def test_levels(db, change, expected):
    add_sku(db, "A", 100)
    assert level(db, "A") == IN_STOCK
    db.execute(f"UPDATE skus SET {change}")
    assert level(db, "A") == expected


def test_a_change_within_a_level_is_no_change(db):
    add_sku(db, "A", 100)
    (before,) = db.execute("SELECT level_tx FROM skus").fetchone()
    db.execute("UPDATE skus SET reserved = reserved + 10")
    assert db.execute("SELECT level_tx FROM skus").fetchone() == (before,)
    db.execute("UPDATE skus SET reserved = 97")
    assert db.execute("SELECT level_tx FROM skus").fetchone()[0] > before


def test_what_commits_late_is_not_missed(db, connect):
    reader = Reader(db)
    add_sku(db, "A", 100)
    add_sku(db, "B", 100)
    late = connect(autocommit=False)
    late.execute("UPDATE skus SET reserved = 100 WHERE sku = 'A'")
    db.execute("UPDATE skus SET reserved = 100 WHERE sku = 'B'")
    reader.poll()
    assert reader.known == {"A": IN_STOCK, "B": NONE}
    late.commit()
    reader.poll()
    assert reader.known == {"A": NONE, "B": NONE}
    reader.poll()
    assert reader.poll() == 0, "and when nothing runs, nothing is told twice"


def test_a_reader_beside_random_writers_ends_with_the_truth(db, connect):
    for number in range(40):
        add_sku(db, f"S{number:02}", 10)

    def write(seed):
        chance = random.Random(seed)
        with connect(autocommit=False) as own:
            for _ in range(60):
                for sku in sorted(f"S{chance.randrange(40):02}" for _ in range(3)):
                    own.execute(
                        "UPDATE skus SET reserved = %s WHERE sku = %s", (chance.randrange(11), sku)
                    )
                own.commit() if chance.random() < 0.8 else own.rollback()

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(3)]
    for each in writers:
        each.start()
    reader = Reader(db)
    while any(each.is_alive() for each in writers):
        reader.poll()
    for each in writers:
        each.join()
    reader.poll()
    assert reader.known == truth(db)


def plan_of(db, query, *arguments):
    return "\n".join(row[0] for row in db.execute(f"EXPLAIN {query}", arguments))


def test_a_poll_and_the_list_of_low_stock_read_an_index(db):
    db.execute(
        "INSERT INTO skus (sku, product_id, variant_id, product_slug, name, price, currency, sellable, revision, on_hand)"
        " SELECT 'S' || n, 'p', 'v', 's', 'n', 1, 'EUR', true, 1, 100 FROM generate_series(1, 20000) n"
    )
    db.execute("SET enable_seqscan = on")
    (now,) = db.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
    query = (
        "SELECT sku, level, level_tx FROM skus WHERE (level_tx, sku) > (%s::bigint, ''::text)"
        " ORDER BY level_tx, sku LIMIT 1000"
    )
    assert "Index Scan using skus_level_tx" in plan_of(db, query, now)
    low = "SELECT sku FROM skus WHERE level < 2 AND sellable AND sku > %s ORDER BY sku LIMIT 50"
    assert "skus_low" in plan_of(db, low, "")
    follower = "SELECT FROM skus WHERE sku = ANY (%s) OR product_id = ANY (%s) ORDER BY sku FOR NO KEY UPDATE"
    assert "Seq Scan" not in plan_of(db, follower, ["S1", "S2"], ["q"])


def test_orders_update_stock_in_place(db):
    """reserved stands in no index: an order's update stays on its page (HOT), unless the level changes."""
    add_sku(db, "A", 1000)
    db.execute("SELECT pg_stat_force_next_flush()")
    hot = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'skus'"
    before = db.execute(hot).fetchone()
    for _ in range(20):
        db.execute("UPDATE skus SET reserved = reserved + 1")
    db.execute("SELECT pg_stat_force_next_flush()")
    after = db.execute(hot).fetchone()
    assert [now - then for now, then in zip(after, before, strict=True)] == [20, 20]
