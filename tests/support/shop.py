"""A shop to load: products with stock, a shipping method, guests who order, and every answer in a journal."""

import itertools
import random
import threading
import time
import uuid

import requests

from .api import Api, euro, product
from .stack import wait_for

PRICE, SHIPPING = 1000, 500
PATIENCE_S = 90
# A repeat can end otherwise: the twin still runs, too many requests, the server is away.
AGAIN = {"key_in_progress", "rate_limited", "request_timeout"}
ADDRESS = {
    "name": "Jo Buyer",
    "line1": "1 Main Street",
    "postal_code": "9000",
    "city": "Ghent",
    "country": "BE",
}


class Shop:
    """Products that cost PRICE, flat shipping, no taxes; `stock` is sku -> units."""

    def __init__(self, stack, stock, discount=None):
        self.stack, self.stock = stack, dict(stock)
        self.api = Api(stack)
        for sku in stock:
            variants = [{"sku": sku, "price": euro(PRICE)}]
            self.admin("POST", "/v1/admin/products", product(variants=variants))
        self.admin(
            "POST",
            "/v1/admin/shipping-methods",
            {"id": "standard", "name": "Standard", "price": euro(SHIPPING), "active": True},
        )
        if discount:
            self.admin("POST", "/v1/admin/discount-codes", discount)
        for sku, units in stock.items():
            path = f"/v1/admin/stock/{sku}"
            wait_for(
                lambda path=path: self.api.get(path).status_code == 200, what=f"{sku} in stock"
            )
            self.admin("POST", f"{path}/receive", {"quantity": units})

    def admin(self, verb, path, body):
        """An admin's write, which has to work."""
        answer = self.api.request(
            verb, path, json=body, headers={"Idempotency-Key": str(uuid.uuid4())}
        )
        assert answer.ok, f"{verb} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def order(self, items, off=0, **more):
        """The body of POST /v1/orders for items (sku -> quantity); off: what a discount takes away."""
        total = sum(items.values()) * PRICE + SHIPPING - off
        return {
            "items": [{"sku": sku, "quantity": quantity} for sku, quantity in items.items()],
            "email": "jo@example.com",
            "shipping_address": ADDRESS,
            "shipping_method": "standard",
            "expected_total": euro(total),
            "payment_method": "manual",
            **more,
        }


class Client:
    """Somebody with a token, who repeats a write with its key until the answer is final."""

    def __init__(self, shop, journal, headers=None):
        self.shop, self.journal = shop, journal
        self.session = requests.Session()
        self.headers = headers or self.guest()

    def guest(self):
        answer = self.until_final("POST", "/v1/guests", {}, None)
        assert answer is not None, f"no guest's token: {self.last}"
        return {"Authorization": f"Bearer {answer.json()['guest_token']}"}

    def until_final(self, verb, path, headers, body):
        """The final answer, or None when PATIENCE_S was not enough; `last` is then what came instead."""
        until = time.monotonic() + PATIENCE_S
        pause = threading.Event()
        while time.monotonic() < until:
            try:
                answer = self.session.request(
                    verb, self.shop.stack.url + path, json=body, headers=headers, timeout=20
                )
                if answer.status_code < 500 and self.code(answer) not in AGAIN:
                    return answer
                self.last = answer.text
            except requests.RequestException as error:
                self.last = repr(error)
                self.session.close()
            pause.wait(random.uniform(0.02, 0.2))
        return None

    @staticmethod
    def code(answer):
        """The code of a problem document; None for success."""
        return None if answer.ok else answer.json().get("code")

    def write(self, action, path, body=None, key=None):
        """A keyed POST; returns its line in the journal."""
        key = key or str(uuid.uuid4())
        line = {"action": action, "key": key, "fate": "open", "code": None, "order": None}
        self.journal.write(**line)
        answer = self.until_final("POST", path, {**self.headers, "Idempotency-Key": key}, body)
        if answer is not None and answer.ok:
            line = {**line, "fate": "acknowledged", "order": answer.json()["id"]}
        elif answer is not None:
            line = {**line, "fate": "refused", "code": self.code(answer)}
        self.journal.write(**line)
        return line

    def place(self, items, key=None, **more):
        return self.write("place", "/v1/orders", self.shop.order(items, **more), key)

    def cancel(self, order):
        return self.write("cancel", f"/v1/orders/{order}/cancel")

    def pay(self, order):
        """Staff: it was paid."""
        return self.write("pay", f"/v1/admin/orders/{order}/pay")

    def fulfil(self, order, line, quantity):
        """Staff: a part of it left; its tracking number is the key, so that a part that left twice shows."""
        key = str(uuid.uuid4())
        body = {"lines": [{"line": line, "quantity": quantity}], "carrier": "Post", "tracking": key}
        return self.write("fulfil", f"/v1/admin/orders/{order}/fulfilments", body, key)

    def close(self):
        self.session.close()


class Crowd:
    """`with Crowd(shop, journal, buyers=8) as crowd:` buyers order until the block ends or each has placed `each`; then some pay, some cancel.

    Bounded by each x buyers. pay and cancel: the share of placed orders that end so."""

    def __init__(self, shop, journal, buyers=8, each=10_000, pay=0.3, cancel=0.3, seed=1):
        self.shop, self.journal, self.each = shop, journal, each
        self.pay, self.cancel = pay, cancel
        self.over = threading.Event()
        self.errors = []
        self.threads = [
            threading.Thread(target=self.run, args=(random.Random(f"{seed}-{number}"),))
            for number in range(buyers)
        ]

    def run(self, luck):
        try:
            self.buy(luck)
        except Exception as error:  # told by the block's end
            self.errors.append(repr(error))

    def buy(self, luck):
        skus = sorted(self.shop.stock)
        staff = Client(self.shop, self.journal, self.shop.stack.admin)
        for number in itertools.count():
            if self.over.is_set() or number >= self.each:
                return
            if number % 5 == 0:  # a client may hold only so many unpaid orders
                client = Client(self.shop, self.journal)
            chosen = luck.sample(skus, luck.randint(1, min(3, len(skus))))
            placed = client.place({sku: luck.randint(1, 3) for sku in chosen})
            dice = luck.random()
            if placed["fate"] != "acknowledged":
                continue
            if dice < self.pay:
                staff.pay(placed["order"])
                if dice < self.pay / 2:
                    staff.fulfil(placed["order"], line=1, quantity=1)
            elif dice < self.pay + self.cancel:
                client.cancel(placed["order"])

    def done(self, action="place"):
        """How many writes have their final answer."""
        return sum(line["fate"] != "open" for line in self.journal.fates(action).values())

    def more(self, count, timeout_s=120):
        """Wait until so many further orders were answered."""
        goal = self.done() + count
        wait_for(lambda: self.errors or self.done() >= goal, timeout_s, "the load goes on")

    def join(self, timeout_s=300):
        """Wait until each buyer has placed its share."""
        for each in self.threads:
            each.join(timeout_s)
            assert not each.is_alive(), "the buyers do not come to an end"

    def __enter__(self):
        for each in self.threads:
            each.start()
        return self

    def __exit__(self, kind, *exception):
        self.over.set()
        self.join()
        if kind is None:
            assert self.errors == []
