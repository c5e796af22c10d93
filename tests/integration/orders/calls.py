"""place_batch and settle_orders called as the worker calls them, without a worker: what tests of their SQL stand on."""

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

METHOD = "place"
WAIT_MS = 10000  # for a twin that runs elsewhere


def unique(prefix):
    """prefix and a ULID: hexadecimal digits are among its letters, and its first is at most 7."""
    return f"{prefix}01{uuid.uuid4().hex[:24].upper()}"


@dataclass
class Order:
    """What a worker would have computed for one order. lines: (SKU, quantity)."""

    lines: list
    subject: str = field(default_factory=lambda: unique("gst_"))
    key: str = field(default_factory=lambda: unique("key-"))
    hash: bytes = b"h"
    reply: bytes = b""
    refused: bool = False
    cart: str | None = None
    cart_version: int | None = None
    code: str | None = None
    code_version: int = 1
    email: str = "ada@example.com"
    network: str | None = None
    id: str = field(default_factory=lambda: unique("ord_"))

    def __post_init__(self):
        self.reply = self.reply or self.id.encode()


@dataclass
class Outcome:
    outcome: str
    at: int | None = None
    remaining: int | None = None
    reply: bytes | None = None


def add_sku(db, sku, on_hand, price=1000):
    db.execute(
        "INSERT INTO skus (sku, product_id, variant_id, product_slug, name, price, currency, sellable, revision, on_hand)"
        " VALUES (%s, 'prod_1', 'var_1', 'slug', 'Name', %s, 'EUR', true, 1, %s)",
        (sku, price, on_hand),
    )
    db.execute(
        "INSERT INTO stock_ledger (sku, delta, reason, actor) VALUES (%s, %s, 'receive', 'test')",
        (sku, on_hand),
    )


def place(
    db,
    orders,
    unpaid_max=0,
    network_max=0,
    prices=None,
    reserve=timedelta(minutes=15),
    stock_last=False,
):
    """One call. prices: what the totals rest on, 1000 of a SKU unless given."""
    prices = prices or {}
    skus = sorted({sku for one in orders for sku, _ in one.lines})
    codes = sorted({one.code for one in orders if one.code})
    uses = sorted({(one.code, one.email) for one in orders if one.code})
    lines = [
        (at, number, skus.index(sku) + 1, quantity)
        for at, one in enumerate(orders, 1)
        for number, (sku, quantity) in enumerate(one.lines, 1)
    ]
    wanted = [sum(line[3] for line in lines if line[2] == at) for at in range(1, len(skus) + 1)]
    n, now = len(orders), datetime.now(UTC)
    numbers = [
        row[0]
        for row in db.execute("SELECT nextval('order_number') FROM generate_series(1, %s)", (n,))
    ]
    amounts = [
        sum(prices.get(sku, 1000) * quantity for sku, quantity in one.lines) for one in orders
    ]
    arguments = [
        ("text", METHOD),
        ("text[]", [one.subject for one in orders]),
        ("text[]", [one.key for one in orders]),
        ("bytea[]", [one.hash for one in orders]),
        ("bytea[]", [one.reply for one in orders]),
        ("boolean[]", [one.refused for one in orders]),
        ("text[]", [one.id for one in orders]),
        ("bigint[]", numbers),
        ("text[]", [one.cart for one in orders]),
        ("bigint[]", [one.cart_version for one in orders]),
        ("text[]", [one.email for one in orders]),
        ("bigint[]", [uses.index((o.code, o.email)) + 1 if o.code else 0 for o in orders]),
        ("text[]", ["standard"] * n),
        ("text[]", ["Standard"] * n),
        ("text[]", [json.dumps({"country": "DE"})] * n),
        ("text[]", ["manual"] * n),
        ("bigint[]", amounts),
        *[("bigint[]", [0] * n)] * 3,
        ("bigint[]", amounts),
        ("boolean[]", [True] * n),
        ("text[]", [unique("evt_") for _ in orders]),
        ("text[]", [None] * n),
        ("bigint[]", [len(one.lines) for one in orders]),
        ("bigint[]", [at for at, _, _, _ in lines]),
        ("bigint[]", [number for _, number, _, _ in lines]),
        ("bigint[]", [sku for _, _, sku, _ in lines]),
        ("bigint[]", [quantity for _, _, _, quantity in lines]),
        *[("bigint[]", [0] * len(lines))] * 3,
        ("bigint[]", [prices.get(skus[sku - 1], 1000) * quantity for _, _, sku, quantity in lines]),
        ("text[]", skus),
        ("bigint[]", [prices.get(sku, 1000) for sku in skus]),
        ("text[]", ["standard"] * len(skus)),
        ("text[]", ["prod_1"] * len(skus)),
        ("text[]", ["Name"] * len(skus)),
        ("text[]", ["{}"] * len(skus)),
        ("bigint[]", wanted),
        ("text[]", codes),
        ("bigint[]", [next(o.code_version for o in orders if o.code == code) for code in codes]),
        ("bigint[]", [codes.index(code) + 1 for code, _ in uses]),
        ("text[]", [customer for _, customer in uses]),
        ("text", "EUR"),
        ("timestamptz", now),
        ("timestamptz", now + reserve),
        ("bigint", unpaid_max),
        ("text[]", [one.network for one in orders]),
        ("bigint", network_max),
        ("boolean", stock_last),
        ("bigint", WAIT_MS),
    ]
    found = call(db, "place_batch", arguments, Outcome)
    return [found.get(at, Outcome("placed")) for at in range(1, n + 1)]


@dataclass
class Settled:
    outcome: str
    reply: bytes | None


def settle(db, move, ids, versions=None, keys=None, subject="usr_staff", hashes=None, refused=None):
    """One call for pay, cancel or expire."""
    n = len(ids)
    arguments = [
        ("text", move),
        ("text", move),
        ("text[]", [subject] * n),
        ("text[]", keys or [None] * n),
        ("bytea[]", hashes or [b"h"] * n),
        ("bytea[]", [f"{move} {one}".encode() for one in ids]),
        ("boolean[]", refused or [False] * n),
        ("text[]", ids),
        ("bigint[]", versions or [None] * n),
        ("text[]", [None] * n),
        ("text[]", [subject] * n),
        ("text[]", [unique("evt_") for _ in ids]),
        ("text[]", [None] * n),
        ("text[]", [None if move == "expire" else unique("aud_") for _ in ids]),
        ("text[]", [None] * n),
        ("timestamptz", datetime.now(UTC)),
        ("bigint", WAIT_MS),
    ]
    return list(call(db, "settle_orders", arguments, Settled).values())


def call(db, function, arguments, row):
    places = ", ".join(f"%s::{kind}" for kind, _ in arguments)
    found = db.execute(
        f"SELECT * FROM {function}({places}) ORDER BY i", [value for _, value in arguments]
    )
    return {each[0]: row(*each[1:]) for each in found}


def imbalances(db):
    return db.execute("SELECT * FROM stock_imbalances").fetchall()
