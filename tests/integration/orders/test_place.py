"""Placing orders: a worker, a database, and every way in which an order can be refused."""

import json
import random
import threading

import msgpack
import psycopg
from calls import add_sku, imbalances, unique
from lab import ADDRESS, Answer, at_once, order_body
from stack import postgres


def test_an_order_is_placed_and_replayed(lab):
    add_sku(lab.db, "A", 5, price=1250)
    worker, guest, key = lab.worker(), unique("gst_"), unique("k")
    body = order_body([("A", 2)], 2500)
    first = worker.one("place", body, guest, key)
    assert first.ok, first
    order = first.body
    assert (order["status"], order["payment_status"], order["fulfilment_status"]) == (
        "placed",
        "pending",
        "unfulfilled",
    )
    assert order["grand_total"] == {"amount": 2500, "currency": "EUR"}
    again = worker.one("place", body, guest, key)
    assert again.replayed and again.body == order
    read = worker.one("get", {"id": order["id"]}, guest)
    assert read.body == order
    assert worker.one("get", {"id": order["id"]}, unique("gst_")).code == "not_found"
    assert worker.one("place", order_body([("A", 1)], 1250), guest, key).code == "key_reused"
    assert lab.db.execute("SELECT on_hand, reserved FROM skus").fetchone() == (5, 2)
    assert imbalances(lab.db) == []


def test_a_line_out_of_stock_is_named(lab):
    add_sku(lab.db, "A", 5)
    add_sku(lab.db, "B", 1)
    worker, key, guest = lab.worker(), unique("k"), unique("gst_")
    body = order_body([("A", 2), ("B", 2)], 4000)
    refused = worker.one("place", body, guest, key)
    assert refused.code == "insufficient_stock"
    assert refused.fields == {"/items/1/quantity": "1 left of B"}
    assert lab.count("idempotency") == 0  # refusals are not stored
    lab.db.execute("UPDATE skus SET on_hand = 2 WHERE sku = 'B'")
    lab.db.execute(
        "INSERT INTO stock_ledger (sku, delta, reason, actor) VALUES ('B', 1, 'receive', 'test')"
    )
    assert worker.one("place", body, guest, key).ok
    assert imbalances(lab.db) == []


def test_lines_of_one_sku_are_summed(lab):
    add_sku(lab.db, "A", 3)
    worker = lab.worker()
    twice = [("A", 2), ("A", 2)]
    refused = worker.one("place", order_body(twice, 4000), unique("gst_"), unique("k"))
    assert refused.fields == {"/items/0/quantity": "3 left of A"}
    placed = worker.one(
        "place", order_body([("A", 1), ("A", 2)], 3000), unique("gst_"), unique("k")
    )
    assert [line["quantity"] for line in placed.body["items"]] == [3]
    much = worker.one("place", order_body([("A", 999), ("A", 1)], 0), unique("gst_"), unique("k"))
    assert much.code == "quantity_too_large" and list(much.fields) == ["/items/1/sku"]


REFUSALS = [
    ({"items": None}, "validation", "/items"),
    ({"email": None}, "validation", "/email"),
    ({"email": "ada@localhost"}, "validation", "/email"),
    ({"shipping_address": None}, "validation", "/shipping_address"),
    (
        {"shipping_address": {**ADDRESS, "country": "XX"}},
        "validation",
        "/shipping_address/country",
    ),
    (
        {"shipping_address": {**ADDRESS, "phone": "call me"}},
        "validation",
        "/shipping_address/phone",
    ),
    ({"shipping_method": None}, "validation", "/shipping_method"),
    ({"shipping_method": "by-owl"}, "shipping_not_available", "/shipping_method"),
    ({"shipping_method": "local"}, "shipping_not_available", "/shipping_method"),
    ({"discount_code": "NOPE"}, "discount_unknown", "/discount_code"),
    ({"discount_code": "LATER"}, "discount_not_active", "/discount_code"),
    ({"discount_code": "LARGE"}, "discount_minimum_not_met", "/discount_code"),
    ({"discount_code": "GONE"}, "discount_used_up", "/discount_code"),
    (
        {"expected_total": {"amount": 1000, "currency": "USD"}},
        "currency_mismatch",
        "/expected_total/currency",
    ),
    ({"expected_total": {"amount": 999, "currency": "EUR"}}, "price_changed", "/grand_total"),
    ({"items": [{"sku": "NONE", "quantity": 1}]}, "sku_unknown", "/items/0/sku"),
    ({"items": [{"sku": "OFF", "quantity": 1}]}, "sku_not_sellable", "/items/0/sku"),
    ({"items": [{"sku": "USD", "quantity": 1}]}, "currency_mismatch", "/items/0/sku"),
    ({"items": [{"sku": "DEAR", "quantity": 999}]}, "amount_too_large", "/items"),
    ({"items": [{"sku": "A", "quantity": 0}]}, "validation", "/items/0/quantity"),
]


def test_every_refusal_names_its_field(lab):
    for sku in ("A", "OFF", "USD"):
        add_sku(lab.db, sku, 5)
    add_sku(lab.db, "DEAR", 999, price=10**12)
    lab.db.execute("UPDATE skus SET sellable = false WHERE sku = 'OFF'")
    lab.db.execute("UPDATE skus SET currency = 'USD' WHERE sku = 'USD'")
    lab.db.execute(
        "INSERT INTO shipping_methods (id, name, price, countries) VALUES ('local', 'L', 0, '{DE}')"
    )
    lab.db.execute(
        "INSERT INTO discount_codes (code, kind, value, minimum, starts_at, limit_total, used) VALUES"
        " ('LATER', 'fixed', 1, 0, now() + interval '1 hour', NULL, 0),"
        " ('LARGE', 'fixed', 1, 1001, NULL, NULL, 0), ('GONE', 'fixed', 1, 0, NULL, 0, 0)"
    )
    worker = lab.worker()
    for change, code, pointer in REFUSALS:
        total = 999 if change.get("discount_code") == "GONE" else 1000
        body = {**order_body([("A", 1)], total), **change}
        body = {name: value for name, value in body.items() if value is not None}
        refused = worker.one("place", body, unique("gst_"), unique("k"))
        assert refused.code == code and pointer in refused.fields, (change, refused)
    assert lab.count("orders") == 0 and lab.count("idempotency") == 0


def test_a_changed_price_tells_the_new_totals(lab):
    add_sku(lab.db, "A", 5, price=1500)
    refused = lab.worker().one("place", order_body([("A", 2)], 2000), unique("gst_"), unique("k"))
    assert refused.code == "price_changed"
    assert refused.fields == {
        "/grand_total": "3000 EUR",
        "/items_total": "3000 EUR",
        "/discount_total": "0 EUR",
        "/shipping_total": "0 EUR",
        "/tax_total": "0 EUR",
    }


def test_several_bad_lines_are_named_at_once(lab):
    add_sku(lab.db, "A", 5)
    body = order_body([("X", 1), ("A", 1), ("Y", 1)], 1000)
    refused = lab.worker().one("place", body, unique("gst_"), unique("k"))
    assert refused.code == "sku_unknown" and list(refused.fields) == [
        "/items/0/sku",
        "/items/2/sku",
    ]


def test_one_bad_order_fails_alone(lab):
    add_sku(lab.db, "A", 5)
    worker = lab.worker()
    bodies = [
        order_body([("A", 2)], 2000),
        order_body([("A", 4)], 4000),
        order_body([("NONE", 1)], 1000),
        order_body([("A", 2)], 2000, discount_code="NOPE"),
        order_body([("A", 3)], 3000),
    ]
    answers = worker.together(
        *[worker.put("place", body, unique("gst_"), unique("k")) for body in bodies]
    )
    assert [answer.code for answer in answers] == [
        None,
        "insufficient_stock",
        "sku_unknown",
        "discount_unknown",
        None,
    ]
    assert lab.db.execute("SELECT reserved FROM skus").fetchone()[0] == 5
    assert imbalances(lab.db) == []


def test_twins_of_one_key_are_one_order(lab):
    add_sku(lab.db, "A", 500)
    workers = [lab.worker(slots=2) for _ in range(3)]
    guest, key = unique("gst_"), unique("k")
    body = order_body([("A", 1)], 1000)

    def run(worker):
        return worker.together(*[worker.put("place", body, guest, key) for _ in range(20)])

    answers = [answer for found in at_once(run, workers) for answer in found]
    assert all(answer.ok for answer in answers), answers
    assert len({answer.body["id"] for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert lab.count("orders") == 1 and imbalances(lab.db) == []


def test_twins_of_a_refused_order_are_refused_alike(lab):
    add_sku(lab.db, "A", 1)
    worker, guest, key = lab.worker(), unique("gst_"), unique("k")
    body = order_body([("A", 2)], 2000)
    answers = worker.together(*[worker.put("place", body, guest, key) for _ in range(10)])
    assert {answer.code for answer in answers} == {"insufficient_stock"}
    # The key is free: another request under it is not "reused".
    assert worker.one("place", order_body([("A", 1)], 1000), guest, key).ok


def test_n_buyers_k_units(lab):
    add_sku(lab.db, "A", 50)
    workers = [lab.worker(slots=2) for _ in range(3)]
    body = order_body([("A", 1)], 1000)

    def run(worker):
        requests = [worker.put("place", body, unique("gst_"), unique("k")) for _ in range(70)]
        return worker.together(*requests)

    answers = [answer for found in at_once(run, workers) for answer in found]
    assert sum(answer.ok for answer in answers) == 50
    assert {answer.code for answer in answers if not answer.ok} == {"insufficient_stock"}
    assert lab.db.execute("SELECT on_hand, reserved FROM skus").fetchone() == (50, 50)
    assert lab.count("orders") == 50 and imbalances(lab.db) == []


def test_a_limited_code_is_used_as_often_as_it_may_be(lab):
    add_sku(lab.db, "A", 500)
    lab.db.execute(
        "INSERT INTO discount_codes (code, kind, value, limit_total, limit_per_customer)"
        " VALUES ('TEN', 'fixed', 100, 12, 2)"
    )
    workers = [lab.worker(slots=2) for _ in range(2)]

    def run(worker):
        requests = []
        for at in range(40):
            email = f"{'ADA' if at % 2 else 'ada'}{at % 10}@example.com"
            body = order_body([("A", 1)], 900, discount_code="ten", email=email)
            requests.append(worker.put("place", body, unique("gst_"), unique("k")))
        return worker.together(*requests)

    answers = [answer for found in at_once(run, workers) for answer in found]
    assert sum(answer.ok for answer in answers) == 12
    assert {answer.code for answer in answers if not answer.ok} == {"discount_used_up"}
    most = lab.db.execute(
        "SELECT max(n) FROM (SELECT count(*) AS n FROM discount_uses GROUP BY customer) x"
    ).fetchone()[0]
    assert most <= 2 and imbalances(lab.db) == []
    # A cancelled order gives its use back.
    answer = next(answer for answer in answers if answer.ok)
    cancel = {"id": answer.body["id"]}
    assert workers[0].one("cancel", cancel, answer.body["subject"], unique("k")).ok
    body = order_body([("A", 1)], 900, discount_code="TEN", email="grace@example.com")
    assert workers[1].one("place", body, unique("gst_"), unique("k")).ok
    assert imbalances(lab.db) == []


# ---- carts ----


def test_a_cart_is_checked_out_once(lab):
    add_sku(lab.db, "A", 50)
    workers = [lab.worker(slots=2) for _ in range(2)]
    guest = unique("gst_")
    cart = lab.cart(
        guest,
        [("A", 3)],
        email="ada@example.com",
        shipping_address=json.dumps(ADDRESS),
        shipping_method="standard",
    )
    body = {
        "cart_id": cart,
        "expected_total": {"amount": 3000, "currency": "EUR"},
        "payment_method": "manual",
    }

    def run(worker):
        return worker.together(*[worker.put("place", body, guest, unique("k")) for _ in range(8)])

    answers = [answer for found in at_once(run, workers) for answer in found]
    assert [answer.code for answer in answers if not answer.ok] == ["cart_taken"] * 15, answers
    order = next(answer.body for answer in answers if answer.ok)
    assert order["cart_id"] == cart and order["shipping_address"] == ADDRESS
    assert workers[0].one("cancel", {"id": order["id"]}, guest, unique("k")).ok
    again = workers[1].one("place", body, guest, unique("k"))
    assert again.ok and again.body["id"] != order["id"]
    assert imbalances(lab.db) == []


def test_what_a_cart_can_lack(lab):
    add_sku(lab.db, "A", 50)
    worker, guest = lab.worker(), unique("gst_")
    base = order_body(None, 1000)

    def code(cart, subject=guest, **more):
        return worker.one("place", {**base, "cart_id": cart, **more}, subject, unique("k")).code

    cart = lab.cart(guest, [("A", 1)], version=4)
    assert code(cart, unique("gst_")) == "not_found"
    assert code("cart_01JD3YV4M8Q6T0R7ZK5N2X9W1B") == "not_found"
    assert code(cart, items=[{"sku": "A", "quantity": 1}]) == "validation"
    assert code(cart, if_match="3") == "precondition_failed"
    assert code(lab.cart(guest, [])) == "cart_empty"
    assert code(lab.cart(guest, [("A", 1)], status="merged")) == "cart_not_open"
    assert code(cart, if_match="4") is None
    assert code(cart) == "cart_taken"


def test_unpaid_orders_of_a_client_are_bounded(lab):
    add_sku(lab.db, "A", 500)
    workers = [lab.worker(slots=2, SOUK_ORDERS_UNPAID_MAX=5) for _ in range(2)]
    guest, body = unique("gst_"), order_body([("A", 1)], 1000)

    def run(worker):
        return worker.together(*[worker.put("place", body, guest, unique("k")) for _ in range(12)])

    answers = [answer for found in at_once(run, workers) for answer in found]
    assert sum(answer.ok for answer in answers) == 5
    assert {answer.code for answer in answers if not answer.ok} == {"unpaid_limit"}
    assert workers[0].one("place", body, unique("gst_"), unique("k")).ok
    order = next(answer.body for answer in answers if answer.ok)
    workers[0].one("cancel", {"id": order["id"]}, guest, unique("k"))
    assert workers[0].one("place", body, guest, unique("k")).ok


def test_unpaid_orders_of_guests_of_a_network_are_bounded(lab):
    """A guest costs nothing to make: each order has another one, from another address of one /64."""
    add_sku(lab.db, "A", 500)
    workers = [lab.worker(slots=2, SOUK_ORDERS_NETWORK_UNPAID_MAX=5) for _ in range(2)]
    body = order_body([("A", 1)], 1000)

    def put(worker, subject=None, address="2001:db8:1:2::1"):
        return worker.put("place", body, subject or unique("gst_"), unique("k"), address=address)

    def run(worker):
        puts = [put(worker, address=f"2001:db8:1:2::{at:x}") for at in range(12)]
        return list(zip(puts, worker.together(*puts), strict=True))

    found = [each for part in at_once(run, workers) for each in part]
    assert sum(answer.ok for _, answer in found) == 5
    assert {answer.code for _, answer in found if not answer.ok} == {"unpaid_limit"}
    worker = workers[0]
    elsewhere = [put(worker, address=other) for other in ("2001:db8:1:3::1", "192.0.2.1", None)]
    users = [put(worker, subject=unique("usr_"))]
    assert all(answer.ok for answer in worker.together(*elsewhere, *users))
    assert lab.count("orders WHERE client_address = '2001:db8:1:2::'") == 5

    def guest(order):
        return lab.db.execute("SELECT subject FROM orders WHERE id = %s", (order,)).fetchone()[0]

    cancelled, paid, *_ = [answer.body["id"] for _, answer in found if answer.ok]
    assert worker.one("cancel", {"id": cancelled}, guest(cancelled), unique("k")).ok
    staff = {"scopes": ["orders:write"]}
    assert worker.one("admin_pay", {"id": paid}, unique("usr_"), unique("k"), **staff).ok
    answers = worker.together(*[put(worker) for _ in range(3)])
    assert sorted(answer.ok for answer in answers) == [False, True, True]
    settled = "orders WHERE id = ANY (%s) AND client_address IS NULL"
    assert (
        lab.count(settled, [cancelled, paid]) == 2
    )  # an address is kept only as long as it counts


# ---- what moves meanwhile ----


def test_a_price_that_changes_between_reading_and_writing_is_seen(lab, connect):
    """Another transaction holds the SKU while its price changes: the order read the old one."""
    add_sku(lab.db, "A", 50, price=1000)
    worker, other = lab.worker(), connect(autocommit=False)
    other.execute("UPDATE skus SET price = 1100 WHERE sku = 'A'")
    request = worker.put("place", order_body([("A", 1)], 1000), unique("gst_"), unique("k"))
    worker.send(request)
    waiting = "pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    lab.wait(lambda: lab.count(waiting) > 0, "the worker waits for the SKU")
    other.commit()
    refused = Answer(worker.answer(request[2]))
    assert refused.code == "price_changed" and refused.fields["/grand_total"] == "1100 EUR"
    assert worker.metric("souk_orders_repeats_total") >= 1


def test_an_unexpected_error_halves_the_batch(lab, server):
    """A trigger stands for what nobody thought of: it fails one SKU's orders with a state of its own."""
    add_sku(lab.db, "A", 500)
    add_sku(lab.db, "BAD", 500)
    with psycopg.connect(
        postgres.with_database(server.database_url, lab.db.info.dbname), autocommit=True
    ) as owner:
        owner.execute(
            "SET search_path = orders;"
            "CREATE FUNCTION injected() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'injected' USING ERRCODE = 'P0999'; END $$;"
            "CREATE TRIGGER injected BEFORE INSERT ON order_lines FOR EACH ROW"
            " WHEN (NEW.sku = 'BAD') EXECUTE FUNCTION injected()"
        )
    worker = lab.worker()
    bodies = [order_body([("BAD" if at == 9 else "A", 1)], 1000) for at in range(16)]
    answers = worker.together(
        *[worker.put("place", body, unique("gst_"), unique("k")) for body in bodies]
    )
    assert [at for at, answer in enumerate(answers) if not answer.ok] == [9]
    assert answers[9].code == "internal"
    assert lab.count("orders") == 15 and imbalances(lab.db) == []
    assert "OR-PLACE-BISECT" in worker.log()
    assert worker.metric("souk_orders_bisects_total") >= 1


def test_orders_beside_price_changes_do_not_deadlock(lab, connect):
    skus = [f"S{at:02}" for at in range(20)]
    for sku in skus:
        add_sku(lab.db, sku, 10000)
    workers = [lab.worker(slots=2, SOUK_ORDERS_UNPAID_MAX=0) for _ in range(2)]
    stop = threading.Event()

    def upsert():
        db = connect()
        while not stop.is_set():
            db.execute(
                "UPDATE skus SET revision = revision + 1 FROM (SELECT sku AS s FROM skus"
                " ORDER BY sku FOR NO KEY UPDATE) x WHERE sku = x.s"
            )

    def run(worker):
        rnd = random.Random(worker.name)
        answers = []
        for _ in range(10):
            requests = []
            for _ in range(30):
                lines = [(sku, 1) for sku in rnd.sample(skus, 3)]
                body = order_body(lines, 3000)
                requests.append(worker.put("place", body, unique("gst_"), unique("k")))
            answers += worker.together(*requests)
        return answers

    beside = threading.Thread(target=upsert)
    beside.start()
    try:
        answers = [answer for found in at_once(run, workers) for answer in found]
    finally:
        stop.set()
        beside.join()
    assert all(answer.ok for answer in answers), [each for each in answers if not each.ok][:3]
    assert lab.count("orders") == 600 and imbalances(lab.db) == []
    deadlocks = "pg_stat_database WHERE datname = current_database() AND deadlocks > 0"
    assert lab.count(deadlocks) == 0


def test_a_client_of_the_bus_cannot_leave_out_who_and_which(lab):
    add_sku(lab.db, "A", 5)
    worker, body = lab.worker(), order_body([("A", 1)], 1000)
    nobody, keyless, hashless = (
        worker.put("place", body, subject, unique("k")) for subject in ("", "gst_1", "gst_1")
    )
    keyless[10] = keyless[11] = None
    keyless[6] = 2  # unkeyed: a broker takes no keyed call without a key
    hashless[11] = None
    answers = worker.together(nobody, keyless, hashless)
    assert [answer.code for answer in answers] == ["unauthenticated", "malformed", "malformed"]
    assert lab.count("orders") == 0


def test_a_call_near_its_deadline_does_not_take_the_others_time(lab):
    add_sku(lab.db, "A", 5)
    worker, body = lab.worker(), order_body([("A", 1)], 1000)
    answers = worker.together(
        worker.put("place", body, unique("gst_"), unique("k")),
        worker.put("place", body, unique("gst_"), unique("k"), timeout_ms=25),
    )
    assert answers[0].ok and answers[1].code == "deadline_exceeded"


def test_a_twin_that_runs_elsewhere_is_waited_for_alone(lab, connect):
    """The others of its batch go on; it ends with 409, or with the twin's reply."""
    add_sku(lab.db, "A", 50)
    worker, other = lab.worker(), connect(autocommit=False)
    guest, key, body = unique("gst_"), unique("k"), order_body([("A", 1)], 1000)
    twin = worker.put("place", body, guest, key, timeout_ms=4000)
    other.execute(
        "INSERT INTO idempotency (subject, method, key, hash, reply) VALUES (%s, 'place', %s, %s, %s)",
        (guest, key, twin[11], msgpack.packb({"id": "of the twin"})),
    )
    requests = [worker.put("place", body, unique("gst_"), unique("k")) for _ in range(8)]
    *answers, last = worker.together(*requests, twin)
    assert all(answer.ok for answer in answers) and last.code == "key_in_progress"
    worker.send(twin)
    waiting = "pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    lab.wait(lambda: lab.count(waiting) > 0, "the worker waits for the twin")
    other.commit()
    replayed = Answer(worker.answer(twin[2]))
    assert replayed.replayed and replayed.body == {"id": "of the twin"}
    assert imbalances(lab.db) == []


def test_texts_are_kept_in_one_form(lab):
    add_sku(lab.db, "A", 5)
    address = {**ADDRESS, "name": "  Zoe\u0301 ", "city": "Mu\u0308nchen", "country": "DE"}
    body = order_body([("A", 1)], 1000, shipping_address=address, email="Zoe\u0301@EXAMPLE.com")
    placed = lab.worker().one("place", body, unique("gst_"), unique("k"))
    assert placed.ok, placed
    order = placed.body
    assert order["shipping_address"]["name"] == "Zo\u00e9"
    assert order["shipping_address"]["city"] == "M\u00fcnchen"
    assert order["email"] == "Zo\u00e9@example.com"
