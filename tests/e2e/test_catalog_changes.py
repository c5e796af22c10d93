"""catalog.changes, as a service that follows the catalogue asks for it."""

import json

import pytest
from support.api import Api, euro, product, soukctl
from support.stack import wait_for


@pytest.fixture(scope="module")
def api(stack):
    return Api(stack)


def changes(stack, after=0, limit=500):
    done = soukctl(stack, "call", "catalog.changes", json.dumps({"after": after, "limit": limit}))
    return json.loads(done.stdout)


def newest(stack, product_id, after=0):
    """The product's row, from whichever worker answers; None while it has not heard."""
    rows = [row for row in changes(stack, after)["changes"] if row["product_id"] == product_id]
    assert len(rows) <= 1
    return rows[0] if rows else None


@pytest.mark.usefixtures("stack")
def test_a_follower_hears_of_change_drop_and_delete(api, stack):
    variants = [
        {"sku": "FOLLOW-R", "price": euro(500), "option_values": {"color": "red"}},
        {"sku": "FOLLOW-B", "price": euro(700), "option_values": {"color": "blue"}},
    ]
    made = api.create(options=["color"], variants=variants, tax_category="books")
    assert made["tax_category"] == "books"
    row = wait_for(lambda: newest(stack, made["id"]), what="the product is told")
    assert (row["active"], row["deleted"], row["tax_category"]) == (True, False, "books")
    assert [each["sku"] for each in row["variants"]] == ["FOLLOW-R", "FOLLOW-B"]
    assert row["variants"][0] == {
        "sku": "FOLLOW-R",
        "variant_id": made["variants"][0]["id"],
        "price": 500,
        "currency": "EUR",
        "option_values": {"color": "red"},
    }
    assert api.change(made["id"], 1, variants=variants[:1]).status_code == 200
    row = wait_for(lambda: newest(stack, made["id"], row["revision"]), what="the drop is told")
    assert [each["sku"] for each in row["variants"]] == ["FOLLOW-R"]
    assert row["tax_category"] == "books", "a patch that does not name it leaves it"
    headers = {"If-Match": '"2"'}
    assert api.delete(f"/v1/admin/products/{made['id']}", headers=headers).status_code == 204
    row = wait_for(lambda: newest(stack, made["id"], row["revision"]), what="the delete is told")
    assert (row["active"], row["deleted"], row["variants"]) == (False, True, [])


@pytest.mark.usefixtures("stack")
def test_pages_cover_the_whole_catalogue_once(api, stack):
    made = [api.create() for _ in range(5)]
    ids, last = {each["id"] for each in made}, made[-1]["revision"]

    def everywhere():
        return all(changes(stack, last)["revision"] >= last for _ in range(10))

    wait_for(everywhere, what="both workers have caught up")
    told, after, more = [], 0, True
    while more:
        page = changes(stack, after, limit=2)
        told += [row["product_id"] for row in page["changes"]]
        after, more = page["next"], page["more"]
    assert len(told) == len(set(told)) and ids <= set(told)
    assert changes(stack, after)["changes"] == []


@pytest.mark.usefixtures("stack")
def test_a_product_without_a_tax_category_is_standard(api):
    made = api.create()
    assert made["tax_category"] == "standard"
    assert api.change(made["id"], 1, tax_category="books").json()["tax_category"] == "books"
    assert api.change(made["id"], 2, tax_category="No Slug").status_code == 422
    bad = api.post("/v1/admin/products", json=product(tax_category=""))
    assert bad.status_code == 422
