"""Every move from every state: what the machines in schemas/orders.yaml allow happens, all else is refused by name."""

import sys

from calls import add_sku, imbalances, unique
from lab import order_body
from support.stack import ROOT

sys.path.append(str(ROOT / "schemas"))
from gen import meta

STAFF = "usr_01JD3YV4M8Q6T0R7ZK5N2X9W1B"
MACHINES = {
    each.name: each
    for service in meta.read(ROOT / "schemas").services
    for each in service.machines
    if service.name == "orders"
}
# The order's states (with what was handed over of it), and the calls that lead there from placed.
PART = {"lines": [{"line": 1, "quantity": 1}]}
WAYS = {
    ("placed", "unfulfilled"): [],
    ("confirmed", "unfulfilled"): [("admin_pay", {})],
    ("confirmed", "partial"): [("admin_pay", {}), ("admin_fulfil", PART)],
    ("completed", "fulfilled"): [("admin_pay", {}), ("admin_fulfil", {})],
    ("cancelled", "void"): [("cancel", {})],
    ("expired", "void"): ["expire"],
}
# A call, its move of the order's machine, and its move of the fulfilment's.
MOVES = {
    "cancel": ("cancel", "cancel"),
    "admin_cancel": ("cancel", "cancel"),
    "admin_pay": ("pay", None),
    "admin_fulfil": ("complete", "complete"),
    "expire": ("expire", "expire"),
}


def leads_to(machine, state, move):
    """The state that the move leads to; None: it is not allowed."""
    return next(
        (each.to for each in MACHINES[machine].moves if each.by == move and state in each.sources),
        None,
    )


def test_every_move_from_every_state(lab):
    add_sku(lab.db, "A", 1000)
    worker, guest = lab.worker(SOUK_ORDERS_SWEEP_MS=20, SOUK_ORDERS_UNPAID_MAX=0), unique("gst_")

    def call(method, order, body=None):
        if method == "expire":
            lab.db.execute(
                "UPDATE orders SET expires_at = now() - interval '1 s' WHERE id = %s", (order,)
            )
            sound = "orders WHERE id = %s AND status = 'placed'"
            lab.wait(lambda: lab.count(sound, order) == 0, "the sweeper has come by")
            return None
        subject = guest if method == "cancel" else STAFF
        return worker.one(method, {"id": order, **(body or {})}, subject, unique("k"))

    for (state, handed), way in WAYS.items():
        for method, (move, part) in MOVES.items():
            body = order_body([("A", 2)], 2000)
            order = worker.one("place", body, guest, unique("k")).body["id"]
            for step in way:
                call(*((step, order) if step == "expire" else (step[0], order, step[1])))
            columns = "SELECT status, fulfilment_status, version FROM orders WHERE id = %s"
            *before, version = lab.db.execute(columns, (order,)).fetchone()
            assert tuple(before) == (state, handed), (way, before)
            to = leads_to("order", state, move)
            answer = call(method, order)
            *after, later = lab.db.execute(columns, (order,)).fetchone()
            if to is None:
                assert after == before and later == version, (state, method)
                if answer is not None:
                    assert answer.code == "illegal_transition", (state, method, answer)
                    assert f"from the state {state}." in answer.body["detail"]
            else:
                expected = leads_to("fulfilment", handed, part) if part else handed
                assert after == [to, expected] and later == version + 1, (state, method)
    assert imbalances(lab.db) == []
