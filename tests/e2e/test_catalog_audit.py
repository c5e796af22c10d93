"""The catalogue's record as its audit log: who did what to products and categories, by which request, and what changed."""

import datetime
import uuid

import pymongo
import pytest
from support.api import Api, euro
from support.stack import wait_for

AUDIT = "/v1/admin/audit/catalog"


@pytest.fixture
def shop(make_stack):
    stack = make_stack(catalog=1, diag=0, env={"SOUK_CATALOG_TRIM_MS": "200"})
    return stack, Api(stack)


def entries(api, target, count):
    """The log of one product or category, oldest first."""

    def known():
        found = api.get(AUDIT, params={"target": target}).json()["data"]
        return found[::-1] if len(found) == count else None

    return wait_for(known, 30, f"{count} entries of {target}")


def test_every_write_is_an_entry(shop):
    _, api = shop
    answer = api.post(
        "/v1/admin/categories",
        json={"slug": "kitchen", "name": "Kitchen"},
        headers={"X-Request-Id": "audit-category"},
    )
    category = answer.json()
    (made_category,) = entries(api, category["id"], 1)
    assert made_category["action"] == "category.create" and made_category["before"] is None
    assert made_category["request_id"] == answer.headers["X-Request-Id"]
    assert made_category["after"]["name"] == "Kitchen"

    made = api.create(name="Lamp")
    key = {"Idempotency-Key": str(uuid.uuid4()), "If-Match": '"1"'}
    path = f"/v1/admin/products/{made['id']}"
    changes = [api.patch(path, json={"name": "Lantern"}, headers=key) for _ in range(2)]
    assert [each.status_code for each in changes] == [200, 200], "the repeat is answered again"
    gone = api.delete(path, headers={"If-Match": '"2"'})
    assert gone.status_code == 204
    create, update, delete = entries(api, made["id"], 3)
    assert [each["action"] for each in (create, update, delete)] == [
        "product.create",
        "product.update",
        "product.delete",
    ]
    assert create["before"] is None and create["after"]["name"] == "Lamp"
    assert (update["before"]["name"], update["after"]["name"]) == ("Lamp", "Lantern")
    assert "slug" not in update["before"] and "slug" not in update["after"]
    assert delete["before"]["name"] == "Lantern" and delete["after"] is None
    assert update["request_id"] == changes[0].headers["X-Request-Id"]
    assert delete["request_id"] == gone.headers["X-Request-Id"]
    assert len({each["actor"] for each in (create, update, delete)}) == 1
    actor = create["actor"]
    assert api.get(AUDIT, params={"actor": "usr_nobody"}).json()["data"] == []
    assert len(api.get(AUDIT, params={"actor": actor}).json()["data"]) == 4


def walk(api, **query):
    """All entries, newest first, by pages of two."""
    found, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = api.get(AUDIT, params={"limit": 2, **query, **more}).json()
        found += page["data"]
        cursor = page["page"]["next"]
        if cursor is None:
            return found


def test_pages_meet_without_gap_or_overlap(shop):
    _, api = shop
    made = [api.create()["id"] for _ in range(5)]
    entries(api, made[-1], 1)
    wait_for(lambda: len(api.get(AUDIT).json()["data"]) == 5, 30, "all five")
    seen = [each["target"] for each in walk(api)]
    assert seen == made[::-1]
    for version in range(1, 5):
        assert api.change(made[2], version, name=f"Name {version}").status_code == 200
    newest_first = entries(api, made[2], 5)[::-1]
    assert walk(api, target=made[2]) == newest_first
    for nonsense in ("rev_", "rev_x", "aud_1", "rev_12345678901234567"):
        assert api.get(AUDIT, params={"cursor": nonsense}).status_code == 400


def test_a_trimmed_revision_still_says_who_did_what(shop):
    stack, api = shop
    made = api.create(variants=[{"sku": "AUDIT-1", "price": euro(100)}])
    assert api.change(made["id"], 1, name="Another").status_code == 200
    before = entries(api, made["id"], 2)
    with pymongo.MongoClient(stack.mongodb_uri, serverSelectionTimeoutMS=20000) as client:
        database = client.get_default_database()
        revisions = database["revisions"]
        # A trim was killed when the record stood in both collections: told once, and trimmed by the next.
        head = ("_id", "kind", "entity_id", "version", "deleted", "at", "by", "why", "request_id")
        for revision in revisions.find({"entity_id": made["id"]}):
            database["retired"].insert_one({name: revision[name] for name in head})
        assert api.get(AUDIT, params={"target": made["id"]}).json()["data"] == before[::-1]
        ancient = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
        first = {"entity_id": made["id"], "version": 1}
        revisions.update_one(first, {"$set": {"at": ancient}})
        wait_for(lambda: revisions.find_one(first) is None, 30, "the trim")
    create, update = entries(api, made["id"], 2)
    same = ("id", "actor", "action", "target", "request_id")
    assert [create[name] for name in same] == [before[0][name] for name in same]
    assert create["before"] is None and create["after"] is None
    assert update["before"] is None and update["after"]["name"] == "Another"
