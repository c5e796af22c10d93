"""The independent checker: what the clients' journal says, against what PostgreSQL holds. SQL and arithmetic only; none of the
service's own code, views or functions is asked.

    checker = Checker(connection)
    assert checker.problems(journal) == []
"""

import msgpack

LIVE = ("placed", "confirmed", "completed")
# The declared machines once more, by hand: an event and the states that it may be met in and leads to.
MOVES = {
    "placed": {(None, "placed")},
    "paid": {("placed", "confirmed")},
    "cancelled": {("placed", "cancelled")},
    "expired": {("placed", "expired")},
    "fulfilled": {("confirmed", "confirmed"), ("confirmed", "completed")},
}


class Checker:
    """connection: psycopg, to the orders database with its schema on the search path."""

    def __init__(self, connection):
        self.connection = connection

    def rows(self, sql, *values):
        with self.connection.transaction():
            return self.connection.execute(sql, values).fetchall()

    def problems(self, journal):
        """Everything that is wrong, as texts."""
        return [
            *self.stock(),
            *self.discounts(),
            *self.orders(journal),
            *self.fulfilments(journal),
            *self.histories(),
        ]

    def stock(self):
        """Ledger = on hand, lines of placed orders = reserved, nothing negative, nothing beyond."""
        ledger = dict(self.rows("SELECT sku, sum(delta)::bigint FROM stock_ledger GROUP BY sku"))
        lines = (
            "SELECT l.sku, sum(l.quantity)::bigint FROM order_lines l JOIN orders o ON o.id = l.order_id "
            "WHERE o.status = ANY(%s) GROUP BY l.sku"
        )
        reserved = dict(self.rows(lines, ["placed"]))
        sold = dict(self.rows(lines, ["confirmed", "completed"]))
        sales = dict(
            self.rows(
                "SELECT sku, -sum(delta)::bigint FROM stock_ledger WHERE reason = 'sale' GROUP BY sku"
            )
        )
        for sku, on_hand, held in self.rows("SELECT sku, on_hand, reserved FROM skus"):
            if not 0 <= held <= on_hand:
                yield f"{sku}: {held} reserved of {on_hand} on hand"
            if ledger.get(sku, 0) != on_hand:
                yield f"{sku}: the ledger sums to {ledger.get(sku, 0)}, on hand are {on_hand}"
            if reserved.get(sku, 0) != held:
                yield f"{sku}: placed orders hold {reserved.get(sku, 0)}, reserved are {held}"
            if sold.get(sku, 0) != sales.get(sku, 0):
                yield f"{sku}: paid orders took {sold.get(sku, 0)}, the ledger sold {sales.get(sku, 0)}"

    def discounts(self):
        """Uses in live orders = counted uses, within the limits."""
        in_orders = dict(
            self.rows(
                "SELECT discount_code, count(*) FROM orders WHERE discount_code IS NOT NULL AND status = ANY(%s) GROUP BY 1",
                list(LIVE),
            )
        )
        per_customer = self.rows(
            "SELECT u.code, max(u.uses)::bigint FROM (SELECT code, customer, count(*) AS uses FROM discount_uses GROUP BY 1, 2) u GROUP BY 1"
        )
        most = dict(per_customer)
        for code, used, limit, each in self.rows(
            "SELECT code, used, limit_total, limit_per_customer FROM discount_codes"
        ):
            if used != in_orders.get(code, 0):
                yield f"code {code}: {used} uses counted, live orders have {in_orders.get(code, 0)}"
            if limit is not None and used > limit:
                yield f"code {code}: {used} uses of {limit}"
            if each is not None and most.get(code, 0) > each:
                yield f"code {code}: a customer used it {most[code]} times, {each} are allowed"

    def stored(self):
        """(subject, key) -> id of the order in the stored reply, of every placing."""
        found = self.rows("SELECT subject, key, reply FROM idempotency WHERE method = 'place'")
        return {
            (subject, key): msgpack.unpackb(bytes(reply), timestamp=3)["id"]
            for subject, key, reply in found
        }

    def orders(self, journal):
        """Each acknowledged order is there once, none is there that no key made, none twice for a key, no refused one."""
        stored = self.stored()
        there = {row[0]: row[1] for row in self.rows("SELECT id, subject FROM orders")}
        by_order = {}
        for (subject, key), order in stored.items():
            if order in by_order:
                yield f"order {order}: the reply of two keys"
            by_order[order] = key
            if there.get(order) != subject:
                yield f"order {order}: stored under {subject}, belongs to {there.get(order)}"
        for order in there.keys() - by_order.keys():
            yield f"order {order}: no key made it"
        keys = {key: order for (_, key), order in stored.items()}
        for key, line in journal.fates("place").items():
            if line["fate"] == "acknowledged" and keys.get(key) != line["order"]:
                yield f"key {key}: acknowledged as {line['order']}, stored as {keys.get(key)}"
            if line["fate"] == "refused" and key in keys:
                yield f"key {key}: refused with {line['code']}, stored as {keys[key]}"
        for key in keys.keys() - journal.fates("place").keys():
            yield f"key {key}: no client sent it"
        for action, state in (("cancel", "cancelled"), ("pay", "confirmed")):
            yield from self.moved(journal, action, state)

    def moved(self, journal, action, state):
        """Each acknowledged move of an order has happened, once."""
        states = dict(self.rows("SELECT id, status FROM orders"))
        wanted = {state, "completed"} if state == "confirmed" else {state}
        for key, line in journal.keys(action, "acknowledged").items():
            if states.get(line["order"]) not in wanted:
                yield f"key {key}: {action} of {line['order']} was acknowledged, it is {states.get(line['order'])}"

    def fulfilments(self, journal):
        """What left is what lines say has left, never more than was ordered; each acknowledged part left once."""
        left = {
            (order, line): quantity
            for order, line, quantity in self.rows(
                "SELECT f.order_id, l.line, sum(l.quantity)::bigint FROM fulfilments f JOIN fulfilment_lines l ON l.fulfilment_id = f.id GROUP BY 1, 2"
            )
        }
        for order, line, quantity, fulfilled in self.rows(
            "SELECT order_id, line, quantity, fulfilled FROM order_lines"
        ):
            if fulfilled > quantity or left.get((order, line), 0) != fulfilled:
                yield f"order {order}: {left.get((order, line), 0)} of line {line} left, it says {fulfilled} of {quantity}"
        tracked = dict(self.rows("SELECT tracking, count(*) FROM fulfilments GROUP BY 1"))
        for key, line in journal.fates("fulfil").items():
            times = tracked.get(key, 0)
            if times > 1 or (line["fate"] != "open" and times != (line["fate"] == "acknowledged")):
                yield f"key {key}: {line['fate']}, left {times} times"

    def histories(self):
        """Events and outbox rows of each order: gapless from 1 to its version, a path of the machine that ends in its state."""
        orders = self.rows("SELECT id, status, version FROM orders")
        events, outbox = {}, {}
        for order, sequence, kind in self.rows(
            "SELECT order_id, sequence, type FROM order_history ORDER BY order_id, sequence"
        ):
            events.setdefault(order, []).append((sequence, kind.removeprefix("order.")))
        for order, sequence in self.rows(
            "SELECT aggregate, sequence FROM outbox ORDER BY aggregate, sequence"
        ):
            outbox.setdefault(order, []).append(sequence)
        for order, status, version in orders:
            numbers = [sequence for sequence, _ in events.get(order, [])]
            if numbers != list(range(1, version + 1)):
                yield f"order {order}: version {version} with the events {numbers}"
            if outbox.get(order) != numbers:
                yield f"order {order}: events {numbers}, outbox {outbox.get(order)}"
            states = {None}
            for _, kind in events.get(order, []):
                states = {to for frm, to in MOVES.get(kind, ()) if frm in states}
            if status not in states:
                yield f"order {order}: it is {status}, its events lead to {states or 'nowhere'}"
