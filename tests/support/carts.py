"""What the tests of carts share: an address, a price list, and how they read carts."""

import uuid

from .buyers import Shelf

ADDRESS = {
    "name": "Zoë Müller-Łukasiewicz",
    "line1": "Große Straße 12/3",
    "postal_code": "50667",
    "city": "Köln",
    "country": "DE",
    "phone": "+49 221 1234567",
}


def shelf_with_prices(stack):
    """A shelf where prices contain the tax in Germany and not elsewhere; two ways of shipping, and codes good and bad."""
    made = Shelf(stack)
    made.sql(
        "INSERT INTO shipping_methods (id, name, price, free_above, countries, position)"
        " VALUES ('parcel', 'Parcel', 495, 10000, '{DE,US}', 1), ('pigeon', 'Pigeon', 50, NULL, '{}', 2)"
    )
    made.sql(
        "INSERT INTO shipping_methods (id, name, price, active) VALUES ('sledge', 'Sledge', 1, false)"
    )
    made.sql(
        "INSERT INTO tax_rates (country, category, rate_ppm, inclusive, name) VALUES"
        " ('DE', 'standard', 190000, true, 'MwSt'), ('DE', 'books', 70000, true, 'MwSt'),"
        " ('US', 'standard', 82500, false, 'Sales tax'), ('US', 'shipping', 0, false, 'none')"
    )
    made.sql(
        "INSERT INTO discount_codes (code, kind, value, minimum, limit_total, used, active, starts_at, ends_at) VALUES"
        " ('TEN', 'percent', 100000, 0, NULL, 0, true, NULL, NULL),"
        " ('FIVE-OFF', 'fixed', 500, 3000, NULL, 0, true, NULL, NULL),"
        " ('GONE', 'percent', 100000, 0, NULL, 0, true, NULL, now() - interval '1 second'),"
        " ('SOON', 'percent', 100000, 0, NULL, 0, true, now() + interval '1 hour', NULL),"
        " ('OFF', 'percent', 100000, 0, NULL, 0, false, NULL, NULL),"
        " ('EMPTY', 'percent', 100000, 0, 3, 3, true, NULL, NULL)"
    )
    return made


def problems(of):
    return [problem["code"] for problem in of["problems"]]


def amounts(cart):
    return tuple(
        cart[f"{name}_total"]["amount"]
        for name in ("items", "discount", "shipping", "tax", "grand")
    )


def checkout(buyer):
    """The order that the cart makes, at the total that it shows."""
    headers = {
        "If-Match": buyer.get(buyer.path).headers["ETag"],
        "Idempotency-Key": uuid.uuid4().hex,
    }
    body = {"expected_total": buyer.cart["grand_total"], "payment_method": "manual"}
    return buyer.post(buyer.path + "/checkout", json=body, headers=headers)
