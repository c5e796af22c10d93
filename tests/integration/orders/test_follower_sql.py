"""What the follower of the catalogue does in SQL: the lease's fence, pages, drops, another catalogue."""

import threading

import psycopg
import pytest

RECORD = "a" * 32


class Follower:
    """Speaks to the functions as workers/orders/follow.c does, with one product at a time or several."""

    def __init__(self, db, holder="one"):
        self.db, self.holder = db, holder
        self.epoch, self.checkpoint = None, None

    def hold(self, ttl_ms=60000):
        row = self.db.execute(
            "UPDATE follower_lease SET epoch = epoch + (holder <> %(holder)s)::integer, holder = %(holder)s,"
            " expires_at = clock_timestamp() + %(ttl)s * interval '1 millisecond'"
            " WHERE holder = %(holder)s OR expires_at < clock_timestamp() RETURNING epoch, checkpoint",
            {"holder": self.holder, "ttl": ttl_ms},
        ).fetchone()
        if row:
            self.epoch, self.checkpoint = row
        return row is not None

    def begin(self, record=RECORD):
        done = self.db.execute("SELECT follower_begin(%s, %s)", (self.epoch, record)).fetchone()[0]
        self.checkpoint = 0
        return done

    def apply(self, *changes, to=None):
        """changes: (product, revision, active, {sku: price}); returns (held, taken)."""
        skus = [
            (sku, at, price) for at, one in enumerate(changes, 1) for sku, price in one[3].items()
        ]
        next_ = to if to is not None else max([self.checkpoint, *(one[1] for one in changes)])
        row = self.db.execute(
            "SELECT held, taken FROM follower_apply(%s, %s, %s, %s::text[], %s::bigint[], %s::boolean[], %s::text[],"
            " %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::text[])",
            (
                self.epoch,
                self.checkpoint,
                next_,
                [one[0] for one in changes],
                [one[1] for one in changes],
                [one[2] for one in changes],
                [f"slug-{one[0]}" for one in changes],
                [f"Name {one[0]}" for one in changes],
                ["standard" for _ in changes],
                [sku for sku, _, _ in skus],
                [at for _, at, _ in skus],
                [f"var_{sku}" for sku, _, _ in skus],
                [price for _, _, price in skus],
                ["EUR" for _ in skus],
                ['{"size": "large"}' for _ in skus],
            ),
        ).fetchone()
        if row[0]:
            self.checkpoint = next_
        return row

    def slices(self, function, limit=2):
        """Runs follower_reset or follower_sweep to its end; how many slices it took."""
        after, count = "", 0
        while after is not None:
            after = self.db.execute(
                f"SELECT {function}(%s, %s, %s)", (self.epoch, after, limit)
            ).fetchone()[0]
            count += 1
        return count


@pytest.fixture
def follower(db):
    follower = Follower(db)
    assert follower.hold() and follower.begin()
    return follower


def skus(db):
    rows = db.execute("SELECT sku, product_id, price, sellable, revision FROM skus ORDER BY sku")
    return {row[0]: row[1:] for row in rows}


def lease(db):
    return db.execute("SELECT phase, checkpoint, record FROM follower_lease").fetchone()


def test_a_page_comes_in_and_moves_the_checkpoint(db, follower):
    assert follower.apply(("p1", 4, True, {"B": 2, "A": 1}), ("p2", 7, False, {"C": 3})) == (
        True,
        [],
    )
    assert skus(db) == {
        "A": ("p1", 1, True, 4),
        "B": ("p1", 2, True, 4),
        "C": ("p2", 3, False, 7),
    }
    assert lease(db) == ("follow", 7, RECORD)
    row = db.execute(
        "SELECT variant_id, product_slug, name, option_values, tax_category, on_hand FROM skus WHERE sku = 'A'"
    ).fetchone()
    assert row == ("var_A", "slug-p1", "Name p1", {"size": "large"}, "standard", 0)


def test_dropped_variants_and_deleted_products_are_not_sold(db, follower):
    follower.apply(("p1", 1, True, {"A": 1, "B": 2}), ("p2", 2, True, {"C": 3}))
    db.execute("UPDATE skus SET on_hand = 9")
    follower.apply(("p1", 3, True, {"A": 1}), ("p2", 4, False, {}))
    assert skus(db) == {
        "A": ("p1", 1, True, 3),
        "B": ("p1", 2, False, 3),
        "C": ("p2", 3, False, 4),
    }
    follower.apply(("p1", 5, True, {"A": 1, "B": 8}))
    assert skus(db)["B"] == ("p1", 8, True, 5)
    assert db.execute("SELECT sum(on_hand) FROM skus").fetchone()[0] == 27, "stock stays"


def test_what_is_older_changes_nothing(db, follower):
    follower.apply(("p1", 5, True, {"A": 50, "B": 50}))
    follower.apply(("p1", 4, False, {"A": 40}))
    follower.apply(("p1", 5, True, {"A": 51}))
    assert skus(db) == {"A": ("p1", 50, True, 5), "B": ("p1", 50, True, 5)}


def test_a_sku_stays_with_its_product_and_the_clash_is_told(db, follower):
    follower.apply(("p1", 1, True, {"A": 1}))
    assert follower.apply(("p2", 2, True, {"A": 2, "B": 2})) == (True, ["A"])
    assert skus(db) == {"A": ("p1", 1, True, 1), "B": ("p2", 2, True, 2)}
    held, taken = follower.apply(("p3", 3, True, {"X": 3}), ("p4", 4, True, {"X": 4}))
    assert held and taken == ["X"], "two products of one page: the newer one has it"
    assert skus(db)["X"] == ("p4", 4, True, 4)


def test_who_lost_the_lease_writes_nothing(db, connect, follower):
    other = Follower(connect(), "two")
    assert not other.hold(), "it is held"
    follower.hold(ttl_ms=-1)
    assert other.hold() and other.epoch == follower.epoch + 1
    assert follower.apply(("p1", 1, True, {"A": 1})) == (False, [])
    assert not follower.begin("b" * 32)
    assert skus(db) == {} and lease(db) == ("follow", 0, RECORD)
    assert other.apply(("p1", 1, True, {"A": 1})) == (True, [])
    assert not follower.hold(), "nor does it come back while the other has it"


def test_the_holder_that_overslept_goes_on_when_nobody_came(follower):
    follower.hold(ttl_ms=-1)
    epoch = follower.epoch
    assert follower.hold() and follower.epoch == epoch
    assert follower.apply(("p1", 1, True, {"A": 1}))[0]


def test_a_page_that_does_not_begin_at_the_checkpoint_is_refused(db, follower):
    follower.apply(("p1", 4, True, {"A": 1}))
    follower.checkpoint = 3
    assert follower.apply(("p1", 5, True, {"A": 2})) == (False, [])
    assert skus(db)["A"] == ("p1", 1, True, 4)


def test_another_catalogue_is_loaded_without_a_pause_in_selling(db, follower):
    follower.apply(("p1", 1, True, {"A": 1, "B": 2}), ("p2", 90, True, {"C": 3}))
    db.execute("UPDATE skus SET on_hand = 5 WHERE sku = 'A'")
    assert follower.begin("b" * 32)
    assert lease(db) == ("reset", 0, "b" * 32)
    assert follower.apply(("q1", 1, True, {"A": 7})) == (False, []), "not before the reset"
    assert follower.slices("follower_reset") == 3
    assert lease(db)[0] == "load"
    assert all(row[2] for row in skus(db).values()), "what was sold is sold meanwhile"
    follower.checkpoint = 0
    assert follower.apply(("q1", 1, True, {"A": 7}), ("q2", 2, True, {"D": 8})) == (True, [])
    assert follower.slices("follower_sweep") == 3
    assert lease(db)[0] == "follow"
    assert skus(db) == {
        "A": ("q1", 7, True, 1),
        "B": ("p1", 2, False, 0),
        "C": ("p2", 3, False, 0),
        "D": ("q2", 8, True, 2),
    }
    assert db.execute("SELECT on_hand FROM skus WHERE sku = 'A'").fetchone()[0] == 5


def test_sync_beside_orders_does_not_deadlock(db, connect, follower):
    """Both take SKUs in one order: none is ever chosen as a deadlock's victim."""
    names = [f"S{number:03}" for number in range(60)]
    follower.apply(*[(f"p{at}", at + 1, True, {name: 1}) for at, name in enumerate(names)])
    db.execute("UPDATE skus SET on_hand = 1000000")
    failures = []

    def orders(start):
        with connect() as own:
            for turn in range(60):
                mine = names[(start + turn) % 30 :][:25]
                try:
                    with own.transaction():
                        own.execute(
                            "SELECT FROM skus WHERE sku = ANY (%s) ORDER BY sku FOR NO KEY UPDATE",
                            (mine,),
                        )
                        own.execute(
                            "UPDATE skus SET reserved = reserved + 1 WHERE sku = ANY (%s)", (mine,)
                        )
                except psycopg.Error as error:
                    failures.append(error)

    threads = [threading.Thread(target=orders, args=(start,)) for start in range(2)]
    for each in threads:
        each.start()
    revision = 1000
    for _ in range(40):
        pages = []
        for at, name in reversed(list(enumerate(names))):
            revision += 1
            pages.append((f"p{at}", revision, True, {name: revision}))
        assert follower.apply(*pages)[0]
    for each in threads:
        each.join()
    assert failures == []


def scans(db):
    db.execute("SELECT pg_stat_force_next_flush()")
    return db.execute(
        "SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'skus'"
    ).fetchone()


def test_a_change_reads_no_more_than_its_skus(db, follower):
    """Counted by the server, over enough calls that it plans for any arguments."""
    db.execute(
        "INSERT INTO skus (sku, product_id, variant_id, product_slug, name, price, currency, sellable, revision)"
        " SELECT 'S' || n, 'q' || n, 'v', 's', 'n', 1, 'EUR', true, 1 FROM generate_series(1, 20000) n"
    )
    before = scans(db)
    for revision in range(2, 22):
        assert follower.apply(("p1", revision, True, {"A": revision, "B": revision}))[0]
    after = scans(db)
    assert after[0] == before[0] and after[1] > before[1]
