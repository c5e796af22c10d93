"""What `make up` fills a new shop with: it can be sold from at once, and a second filling changes nothing."""

import json

import pytest
from stack import seed
from support.api import Api
from support.stack import ROOT, Stack

FOLDER = ROOT / "deploy" / "local" / "seed"


def rows(name):
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def stack(servers):
    with Stack(servers, catalog=1, diag=0, orders=1) as started:
        yield started


@pytest.fixture(scope="module")
def said(stack):
    """What the first filling said."""
    lines = []
    seed.seed(stack.settings, stack.api_key, lines.append)
    return lines


def all_of(api, path):
    found, cursor = [], ""
    while True:
        answer = api.get(path, params={"limit": 100, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        found += answer.json()["data"]
        cursor = answer.json()["page"]["next"]
        if not cursor:
            return found


def shop_of(stack):
    """Stock, tax rates, codes and shipping methods, by what names them."""
    api = Api(stack)
    shipping = api.get("/v1/admin/shipping-methods").json()["data"]
    return {
        "stock": {each["sku"]: each["on_hand"] for each in all_of(api, "/v1/admin/stock")},
        "rates": {
            (each["country"], each["category"]): each["rate_ppm"]
            for each in all_of(api, "/v1/admin/tax-rates")
        },
        "codes": {
            each["code"]: each["version"] for each in all_of(api, "/v1/admin/discount-codes")
        },
        "shipping": {each["id"]: each["price"]["amount"] for each in shipping},
    }


def test_every_sku_has_stock_and_everything_else_is_there(stack, said):
    assert [line.partition(" ")[0] for line in said] == ["seeding", "seeding"]
    products = rows("products")
    shop = shop_of(stack)
    assert set(shop["stock"]) == {each["sku"] for one in products for each in one["variants"]}
    assert shop["stock"] == {each["sku"]: each["quantity"] for each in rows("stock")}
    assert shop["rates"] == {
        (each["country"], each["category"]): each["rate_ppm"] for each in rows("tax_rates")
    }
    assert list(shop["codes"]) == ["WELCOME10"]
    assert shop["shipping"] == {
        each["id"]: each["price"]["amount"] for each in rows("shipping_methods")
    }


def test_every_country_that_is_served_has_a_tax_rate(said):
    served = {country for each in rows("shipping_methods") for country in each["countries"]}
    assert served == {
        each["country"] for each in rows("tax_rates") if each["category"] == "standard"
    }
    categories = {one.get("tax_category", "standard") for one in rows("products")}
    assert categories == {each["category"] for each in rows("tax_rates")}


def test_a_second_time_changes_nothing(stack, said):
    before, again = shop_of(stack), []
    seed.seed(stack.settings, stack.api_key, again.append)
    assert again == []
    assert shop_of(stack) == before


def test_a_filling_that_was_cut_short_is_completed(stack, said):
    before, again = shop_of(stack), []
    (stack.settings.var / "seeding-shop").touch()
    gone = Api(stack).get("/v1/admin/shipping-methods/express")
    deleted = Api(stack).delete(
        "/v1/admin/shipping-methods/express", headers={"If-Match": gone.headers["ETag"]}
    )
    assert deleted.status_code in (200, 204), deleted.text
    seed.seed(stack.settings, stack.api_key, again.append)
    assert len(again) == 1
    assert shop_of(stack) == before
    assert not (stack.settings.var / "seeding-shop").exists()
