"""The catalogue from outside: reads, filters, writes, versions, history."""

import pytest
from support.api import Api, euro, product
from support.stack import wait_for


@pytest.fixture(scope="module")
def api(stack):
    return Api(stack)


@pytest.fixture(scope="module")
def shop(api):
    """Three categories (two of them nested) and four products."""
    house = api.category(slug="house", name="House")
    lamps = api.category(slug="lamps", name="Lamps", parent_id="house")
    garden = api.category(slug="garden", name="Garden")
    variants = [
        {"sku": "LAMP-R", "price": euro(5000), "option_values": {"color": "red"}},
        {
            "sku": "LAMP-B",
            "price": euro(4000),
            "compare_at_price": euro(6000),
            "option_values": {"color": "blue"},
        },
    ]
    items = [
        product(
            slug="opal-lamp",
            name="Opal lamp",
            category_ids=["lamps"],
            tags=["gift"],
            options=["color"],
            variants=variants,
            attributes={"material": "glass"},
        ),
        product(
            slug="oak-lamp",
            name="Oak lamp",
            category_ids=[lamps["id"]],
            attributes={"material": "oak"},
        ),
        product(
            slug="oak-bench",
            name="Oak bench",
            category_ids=["garden", "house"],
            tags=["gift"],
            attributes={"material": "oak"},
            variants=[{"sku": "BENCH", "price": euro(15000)}],
        ),
        product(slug="hidden-lamp", name="Hidden lamp", category_ids=["lamps"], status="draft"),
    ]
    made = [api.create(**item) for item in items]
    seen_by_all(api, made[-1])
    return {"categories": [house, lamps, garden], "products": {each["slug"]: each for each in made}}


def seen_by_all(api, made, reads=30):
    """Until many reads in a row, which go to either worker, show that revision."""

    def everywhere():
        answers = [api.get(f"/v1/admin/products/{made['id']}") for _ in range(reads)]
        return all(
            each.status_code == 200 and each.json()["version"] >= made["version"]
            for each in answers
        )

    wait_for(everywhere, what=f"{made['slug']} is not on every worker")


def slugs(answer):
    assert answer.status_code == 200, answer.text
    return [each["slug"] for each in answer.json()["data"]]


@pytest.mark.smoke
def test_a_product_reads_by_id_and_by_slug(api, shop):
    made = shop["products"]["opal-lamp"]
    by_id, by_slug = api.get(f"/v1/products/{made['id']}"), api.get("/v1/products/opal-lamp")
    assert by_id.json() == by_slug.json() == made
    assert by_id.headers["ETag"] == '"1"'
    assert made["price_min"] == euro(4000) and made["price_max"] == euro(5000)
    assert [each["option_values"] for each in made["variants"]] == [
        {"color": "red"},
        {"color": "blue"},
    ]


def test_a_known_etag_is_answered_304(api, shop):
    etag = api.get("/v1/products/oak-lamp").headers["ETag"]
    again = api.get("/v1/products/oak-lamp", headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert api.get("/v1/products/oak-lamp", headers={"If-None-Match": '"7"'}).status_code == 200


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("category=house", {"opal-lamp", "oak-lamp", "oak-bench"}),
        ("category=lamps", {"opal-lamp", "oak-lamp"}),
        ("category=house&price_min=4000", {"opal-lamp", "oak-bench"}),
        ("category=house&price_min=4500", {"oak-bench"}),
        ("category=house&price_max=2000", {"oak-lamp"}),
        ("option.color=red", {"opal-lamp"}),
        (
            "attribute.material=glass&attribute.material=oak&category=lamps",
            {"opal-lamp", "oak-lamp"},
        ),
        ("attribute.material=oak&tag=gift", {"oak-bench"}),
        ("category=nowhere", set()),
        ("q=lamp&category=house", {"opal-lamp", "oak-lamp"}),
        ("q=benches", {"oak-bench"}),
        ("q=opa", {"opal-lamp"}),
        ("q=bensh", {"oak-bench"}),
        ("q=LAMP-B", {"opal-lamp"}),
    ],
)
@pytest.mark.usefixtures("shop")
def test_filters(api, query, expected):
    assert set(slugs(api.get(f"/v1/products?{query}"))) == expected


@pytest.mark.usefixtures("shop")
def test_orders_and_pages(api):
    ascending = slugs(api.get("/v1/products?category=house&sort=price"))
    assert ascending == ["oak-lamp", "opal-lamp", "oak-bench"]
    assert slugs(api.get("/v1/products?category=house&sort=-price")) == ascending[::-1]
    walked, path = [], "/v1/products?category=house&sort=price&limit=1"
    while path:
        answer = api.get(path)
        walked += slugs(answer)
        cursor = answer.json()["page"]["next"]
        assert answer.json()["page"]["total"] == 3
        assert ('rel="next"' in answer.headers.get("Link", "")) == (cursor is not None)
        path = f"/v1/products?category=house&sort=price&limit=1&cursor={cursor}" if cursor else None
    assert walked == ascending


@pytest.mark.usefixtures("shop")
def test_a_cursor_of_another_query_is_refused(api):
    cursor = api.get("/v1/products?category=house&sort=price&limit=1").json()["page"]["next"]
    answer = api.get(f"/v1/products?category=house&sort=name&limit=1&cursor={cursor}")
    assert answer.status_code == 400, answer.text


@pytest.mark.usefixtures("shop")
def test_facets_count_exactly_and_do_not_narrow_themselves(api):
    answer = api.get("/v1/products/facets?category=house&attribute.material=oak").json()
    facets = {
        each["name"]: {value["value"]: value["count"] for value in each["values"]}
        for each in answer["facets"]
    }
    assert answer["total"] == 2
    assert facets["attribute.material"] == {"oak": 2, "glass": 1}
    assert facets["tag"] == {"gift": 1}
    assert answer["price_min"] == euro(1999) and answer["price_max"] == euro(15000)


@pytest.mark.usefixtures("shop")
def test_drafts_are_for_admins(api):
    assert api.get("/v1/products/hidden-lamp").status_code == 404
    assert slugs(api.get("/v1/admin/products?status=draft&category=lamps")) == ["hidden-lamp"]


def test_categories_form_a_tree(api, shop):
    listed = {each["slug"]: each for each in api.get("/v1/categories").json()["data"]}
    assert (listed["house"]["depth"], listed["lamps"]["depth"]) == (0, 1)
    assert listed["house"]["products_count"] == 3
    answer = api.get("/v1/categories/lamps").json()
    assert [each["slug"] for each in answer["ancestors"]] == ["house"]
    assert answer["category"]["id"] == shop["categories"][1]["id"]


def test_a_change_needs_the_version_that_it_changes(api):
    made = api.create()
    path = f"/v1/admin/products/{made['id']}"
    assert api.patch(path, json={"name": "New"}).status_code == 428
    assert api.change(made["id"], 1, name="New").json()["version"] == 2
    stale = api.change(made["id"], 1, name="Newer")
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert api.delete(path, headers={"If-Match": '"1"'}).status_code == 412
    assert api.delete(path, headers={"If-Match": '"2"'}).status_code == 204
    assert api.get(f"/v1/products/{made['slug']}").status_code in (
        200,
        404,
    )  # the other worker may be a moment behind


def test_merge_patch_keeps_what_is_absent_and_clears_null(api):
    made = api.create(description="Text", tags=["a"], attributes={"k.with$signs%": "v"})
    assert made["attributes"] == {"k.with$signs%": "v"}
    renamed = api.change(made["id"], 1, name="Other").json()
    assert (renamed["name"], renamed["description"], renamed["tags"]) == ("Other", "Text", ["a"])
    cleared = api.change(made["id"], 2, description=None, tags=[]).json()
    assert "description" not in cleared or cleared["description"] is None
    assert cleared["tags"] == [] and cleared["variants"] == made["variants"]


def test_slugs_and_skus_are_unique(api):
    one = api.create()
    same_slug = api.post("/v1/admin/products", json=product(slug=one["slug"]))
    assert (same_slug.status_code, same_slug.json()["code"]) == (409, "slug_taken")
    same_sku = api.post(
        "/v1/admin/products",
        json=product(
            variants=one["variants"][0:0] + [{"sku": one["variants"][0]["sku"], "price": euro(1)}]
        ),
    )
    assert (same_sku.status_code, same_sku.json()["code"]) == (409, "sku_taken")


def test_a_sku_stays_with_its_product(api):
    one = api.create()
    sku = one["variants"][0]["sku"]
    api.change(one["id"], 1, variants=[{"sku": sku + "-NEW", "price": euro(1)}])
    answer = api.post("/v1/admin/products", json=product(variants=[{"sku": sku, "price": euro(1)}]))
    assert (answer.status_code, answer.json()["code"]) == (409, "sku_taken")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"options": ["size"]}, "/variants/0/option_values"),
        ({"category_ids": ["nowhere"]}, "/category_ids/0"),
        (
            {"variants": [{"sku": "A-1", "price": {"amount": 1, "currency": "USD"}}]},
            "/variants/0/price/currency",
        ),
        (
            {"variants": [{"sku": "A-1", "price": euro(5), "compare_at_price": euro(5)}]},
            "/variants/0/compare_at_price",
        ),
        (
            {"variants": [{"sku": "A-1", "price": euro(5)}, {"sku": "A-1", "price": euro(5)}]},
            "/variants/1/sku",
        ),
        ({"variants": []}, "/variants"),
        ({"slug": "Not A Slug"}, "/slug"),
        ({"created_at": "2026-01-01T00:00:00Z"}, "/created_at"),
    ],
)
def test_a_bad_product_names_the_field(api, fields, pointer):
    answer = api.post("/v1/admin/products", json=product(**fields))
    assert answer.status_code == 422, answer.text
    assert pointer in [each["pointer"] for each in answer.json()["errors"]], answer.text


def test_a_key_makes_a_create_happen_once(api):
    body, headers = product(), {"Idempotency-Key": "order-of-the-day-1"}
    first = api.post("/v1/admin/products", json=body, headers=headers)
    again = api.post("/v1/admin/products", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert (
        again.headers["Idempotency-Replayed"] == "true"
        and "Idempotency-Replayed" not in first.headers
    )
    other = api.post("/v1/admin/products", json={**body, "name": "Else"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")


def test_history_and_revert(api):
    made = api.create(name="First")
    api.change(made["id"], 1, name="Second")
    assert (
        api.delete(f"/v1/admin/products/{made['id']}", headers={"If-Match": '"2"'}).status_code
        == 204
    )
    entries = api.get(f"/v1/admin/products/{made['id']}/revisions").json()["data"]
    assert [(each["version"], each["why"], each["deleted"]) for each in entries] == [
        (3, "delete", True),
        (2, "update", False),
        (1, "create", False),
    ]
    assert entries[2]["document"] == made and entries[0]["document"] is None
    back = api.post(
        f"/v1/admin/products/{made['id']}/revert",
        json={"revision": entries[2]["revision"]},
        headers={"If-Match": '"3"'},
    )
    assert back.status_code == 200, back.text
    assert (back.json()["version"], back.json()["name"], back.json()["variants"]) == (
        4,
        "First",
        made["variants"],
    )
    page = api.get(
        f"/v1/admin/products/{made['id']}/revisions?limit=1&before={entries[1]['revision']}"
    ).json()["data"]
    assert [each["version"] for each in page] == [1]


def test_categories_move_and_go(api):
    top, below = api.category(), None
    below = api.category(parent_id=top["id"])
    loop = api.patch(
        f"/v1/admin/categories/{top['id']}",
        json={"parent_id": below["id"]},
        headers={"If-Match": '"1"'},
    )
    assert loop.status_code == 422, loop.text
    full = api.delete(f"/v1/admin/categories/{top['id']}", headers={"If-Match": '"1"'})
    assert (full.status_code, full.json()["code"]) == (409, "category_not_empty")
    moved = api.patch(
        f"/v1/admin/categories/{below['id']}", json={"parent_id": None}, headers={"If-Match": '"1"'}
    ).json()
    assert (moved["parent_id"], moved["depth"], moved["version"]) == (None, 0, 2)
    assert (
        api.delete(f"/v1/admin/categories/{top['id']}", headers={"If-Match": '"1"'}).status_code
        == 204
    )
