"""Customers of a stack for tests of carts: guests and users with their token, and SKUs written past the catalogue."""

import itertools
import json

from .api import Api

PASSWORD = "correct horse battery staple"
_numbers = itertools.count(1)


class Buyer(Api):
    """Somebody with a token; `cart` is the last reply about a cart, whose version guards the next change."""

    def __init__(self, stack, token):
        super().__init__(stack)
        self.token = token
        self.headers["Authorization"] = f"Bearer {token}"
        self.cart = None

    @classmethod
    def guest(cls, stack):
        """A new guest without a cart."""
        answer = Api(stack).post("/v1/guests")
        assert answer.status_code == 200, answer.text
        return cls(stack, answer.json()["guest_token"])

    @classmethod
    def user(cls, stack):
        """A new user who has logged in; needs a users worker."""
        email = f"buyer-{next(_numbers)}@example.com"
        api = Api(stack)
        answer = api.post("/v1/users", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 202, answer.text
        answer = api.post("/v1/auth/login", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return cls(stack, answer.json()["access_token"])

    def open(self, *items):
        """A new cart with (sku, quantity) pairs; returns it."""
        body = {"items": [{"sku": sku, "quantity": quantity} for sku, quantity in items]}
        return self.take(self.post("/v1/carts", json=body), 201)

    def take(self, answer, status=200):
        """The cart of an answer that must be this."""
        assert answer.status_code == status, answer.text
        self.cart = answer.json()
        return self.cart

    @property
    def path(self):
        return f"/v1/carts/{self.cart['id']}"

    def look(self):
        """The cart as it is now."""
        return self.take(self.get(self.path))

    def ask(self, verb, under="", version=None, key=None, **body):
        """One change of the cart, guarded by its version; returns the answer."""
        tag = f'"{self.cart["version"]}"' if version is None else version
        headers = {"If-Match": tag} if tag else {}
        if key:
            headers["Idempotency-Key"] = key
        content = {"json": body} if body else {}
        return self.request(verb, self.path + under, headers=headers, **content)

    def change(self, verb, under="", **body):
        """As ask, and it must work; returns the cart."""
        return self.take(self.ask(verb, under, **body))

    def add(self, sku, quantity=1):
        return self.change("POST", "/items", sku=sku, quantity=quantity)

    def line(self, sku):
        """The cart's line of a SKU."""
        return next(line for line in self.cart["items"] if line["sku"] == sku)


class Shelf:
    """The table skus, written by the test: what a cart may hold, without a catalogue."""

    def __init__(self, stack):
        self.database = stack.connect("orders")

    def sql(self, text, *values):
        """One statement; its rows, if it has some."""
        cursor = self.database.execute(text, values)
        return cursor.fetchall() if cursor.description else None

    def put(self, price=1000, stock=100, **fields):
        """A new SKU; returns it."""
        sku = fields.get("sku") or f"CART-{next(_numbers)}"
        row = {
            "sku": sku,
            "product_id": "prod_01JD3YV4M8Q6T0R7ZK5N2X9W1B",
            "variant_id": "var_01JD3YV4M8Q6T0R7ZK5N2X9W1B",
            "product_slug": f"thing-{sku.lower()}",
            "name": f"Thing {sku}",
            "option_values": json.dumps({"size": "large"}),
            "price": price,
            "currency": "EUR",
            "tax_category": "standard",
            "sellable": True,
            "revision": 1,
            **fields,
        }
        names = ", ".join(row)
        marks = ", ".join("%s" for _ in row)
        self.sql(f"INSERT INTO skus ({names}) VALUES ({marks})", *row.values())
        if stock:
            self.sql(
                "INSERT INTO stock_ledger (sku, delta, reason, actor) VALUES (%s, %s, 'set', 'test')",
                sku,
                stock,
            )
            self.sql("UPDATE skus SET on_hand = %s WHERE sku = %s", stock, sku)
        return sku
