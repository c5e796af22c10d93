"""An erased account: what orders knew about the person goes, and what accounting needs stays."""

import uuid

import pytest
from support.accounts import PASSWORD, QUICK, UNTHROTTLED, eventually, person
from support.api import euro
from support.checker import Checker
from support.shop import PRICE, SHIPPING, Shop
from support.stack import Stack

STREET, PLACE = "77 Quite Unusual Crescent", "Oddington"
SETTINGS = {**QUICK, **UNTHROTTLED, "SOUK_ORDERS_ERASE_MS": "100", "SOUK_ORDERS_UNPAID_MAX": "1000"}


@pytest.fixture(scope="module")
def shop(servers):
    with Stack(servers, catalog=1, diag=0, users=1, orders=2, env=SETTINGS) as stack:
        code = {"code": "ONCE", "kind": "fixed", "amount": euro(100), "limit_per_customer": 1}
        yield Shop(stack, {"LAMP": 1000}, discount=code)


def key():
    return {"Idempotency-Key": str(uuid.uuid4())}


class Buyer:
    """A registered person with a name, a street and an email address of their own."""

    def __init__(self, shop):
        self.shop, self.person = shop, person(shop.stack)
        self.name = f"Ermintrude {uuid.uuid4().hex[:8]}"
        self.needles = [self.person.email, self.name, STREET]

    def order(self, **more):
        off = 100 if "discount_code" in more else 0
        address = {"name": self.name, "line1": STREET, "city": PLACE, "country": "BE"}
        body = self.shop.order({"LAMP": 1}, off, shipping_address=address, email=self.person.email)
        answer = self.person.post("/v1/orders", body | more, headers=key())
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def erase(self):
        answer = self.person.post("/v1/me/erase", {"password": PASSWORD}, headers=key())
        assert answer.ok, answer.text

    def traces(self):
        """The tables of orders that still say something about the person; not what is stored for staff's repeats."""
        found = []
        with self.shop.stack.connect("orders") as connection:
            tables = connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'orders' AND table_type = 'BASE TABLE'"
            ).fetchall()
            for (table,) in tables:
                staff = " AND t.subject LIKE 'usr_%%'" if table == "idempotency" else ""
                for needle in self.needles:
                    sql = f"SELECT count(*) FROM {table} t WHERE (t::text ILIKE %s OR t::text LIKE %s){staff}"
                    row = [f"%{needle}%", f"%{needle.encode().hex()}%"]  # texts; bytes
                    if connection.execute(sql, row).fetchone()[0]:
                        found.append(table)
        return sorted(set(found))


def act(shop, order, what, **body):
    return shop.admin("POST", f"/v1/admin/orders/{order}/{what}", body or None)


def test_an_erased_persons_orders_keep_what_accounting_needs(shop):
    buyer = Buyer(shop)
    done, called_off, unpaid = buyer.order(discount_code="ONCE"), buyer.order(), buyer.order()
    act(shop, done, "pay")
    act(shop, done, "fulfilments", carrier="DHL", tracking=f"Parcel of {buyer.name}")
    assert buyer.person.post(f"/v1/orders/{called_off}/cancel", headers=key()).ok
    cart = buyer.person.post("/v1/carts", {}, headers=key())
    where = f"/v1/carts/{cart.json()['id']}"
    changed = buyer.person.patch(where, {"email": buyer.person.email}, headers={"If-Match": "*"})
    assert changed.ok, changed.text
    assert {"orders", "outbox", "idempotency", "fulfilments", "carts"} <= set(buyer.traces())
    with shop.stack.connect("orders") as connection:
        used = connection.execute("SELECT customer FROM discount_uses WHERE order_id = %s", [done])
        assert used.fetchone()[0] == buyer.person.email.lower()

    buyer.erase()
    eventually(lambda: buyer.traces() == ["orders", "outbox"], "only what has not ended is left")
    kept = shop.api.get(f"/v1/admin/orders/{done}").json()
    assert kept["erased_at"] is not None and kept["email"] == "erased@souk.invalid"
    assert kept["shipping_address"] == {"name": "-", "line1": "-", "city": "-", "country": "BE"}
    assert kept["grand_total"] == euro(PRICE + SHIPPING - 100) and kept["discount_code"] == "ONCE"
    assert kept["items"][0]["sku"] == "LAMP" and kept["subject"] == buyer.person.id
    assert kept["fulfilments"][0]["tracking"] is None
    assert shop.api.get(f"/v1/admin/orders/{unpaid}").json()["erased_at"] is None

    act(shop, unpaid, "cancel")
    eventually(lambda: buyer.traces() == [], "what has ended since goes as well")
    with shop.stack.connect("orders") as connection:
        checker = Checker(connection)
        assert [*checker.stock(), *checker.discounts(), *checker.histories()] == []


def test_what_a_token_makes_after_the_erasure_goes_too(shop):
    buyer = Buyer(shop)
    buyer.erase()
    with shop.stack.connect("orders") as connection:
        told = "SELECT count(*) FROM erased_subjects WHERE subject = %s"
        eventually(
            lambda: connection.execute(told, [buyer.person.id]).fetchone()[0] == 1, "it is known"
        )
    late = buyer.order()
    act(shop, late, "cancel")
    eventually(lambda: buyer.traces() == [], "nothing is left")


def test_a_worker_that_dies_in_an_erasure_has_done_nothing_of_it(shop):
    buyer = Buyer(shop)
    for _ in range(3):
        act(shop, buyer.order(), "cancel")
    for process in (shop.stack["orders-1"], shop.stack["orders-2"]):
        process.stop()
    doomed = shop.stack["orders-1"]
    buyer.erase()
    doomed.env["SOUK_FAULT"] = "orders.erase.before_commit"
    doomed.start()
    eventually(lambda: not doomed.is_alive(), "the worker dies in it", 60)
    doomed.env.pop("SOUK_FAULT")
    assert {"orders", "outbox"} <= set(buyer.traces())
    for process in (shop.stack["orders-1"], shop.stack["orders-2"]):
        process.start()
    for process in (shop.stack["orders-1"], shop.stack["orders-2"]):
        process.wait_ready()
    eventually(lambda: buyer.traces() == [], "another one does it")


def test_erasures_are_asked_for_again_when_the_users_database_is_another(shop):
    """The checkpoint names an account that does not have that number: all are told again, and nobody is erased twice."""
    buyer = Buyer(shop)
    act(shop, buyer.order(), "cancel")
    with shop.stack.connect("orders") as connection:
        connection.execute(
            "UPDATE erasure_checkpoint SET number = 1000000, user_id = 'usr_01JD3YV4M8Q6T0R7ZK5N2X9W1B'"
        )
        before = connection.execute("SELECT count(*) FROM erased_subjects").fetchone()[0]
    buyer.erase()
    eventually(lambda: buyer.traces() == [], "the new one is among them")
    with shop.stack.connect("orders") as connection:
        number, known = connection.execute(
            "SELECT (SELECT number FROM erasure_checkpoint), (SELECT count(*) FROM erased_subjects)"
        ).fetchone()
    assert number == known == before + 1
