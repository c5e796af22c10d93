"""What the catalogue workers make of a record that somebody else has touched, and of their own sudden deaths."""

import concurrent.futures
import datetime
import itertools
import threading

import psycopg
import pymongo
import pytest
import requests
from bson import Int64
from support.api import Api, product
from support.stack import wait_for

WRITERS = 3
KILLS = 4
CREATES_BETWEEN_KILLS = 15
_numbers = itertools.count(1)


class Record:
    """The collections of one stack, as somebody with a MongoDB client sees them."""

    def __init__(self, stack):
        self.client = pymongo.MongoClient(stack.mongodb_uri, serverSelectionTimeoutMS=20000)
        self.database = self.client.get_default_database()
        self.revisions = self.database["revisions"]
        self.meta = self.database["meta"]

    def last(self):
        return max(each["_id"] for each in self.revisions.find({}, {"_id": 1}))

    def of(self, entity_id):
        return sorted(
            self.revisions.find({"entity_id": entity_id}), key=lambda each: each["version"]
        )

    def next_version(self, entity_id, **fields):
        """A revision as a worker would write it; the caller inserts it."""
        former = self.of(entity_id)[-1]
        number, version = self.last() + 1, former["version"] + 1
        doc = {**former["doc"], "version": version, "revision": number, **fields}
        return {
            **{name: value for name, value in former.items() if name not in ("key", "key_hash")},
            "_id": Int64(number),
            "version": Int64(version),
            "nonce": f"{next(_numbers):024d}",
            "doc": doc,
        }


@pytest.fixture
def record_stack(make_stack):
    def make(**options):
        stack = make_stack(diag=0, **options)
        record = Record(stack)
        made.append(record)
        return stack, Api(stack), record

    made = []
    yield make
    for record in made:
        record.client.close()


def everywhere(api, path, shown, what, reads=30):
    """Until many reads in a row satisfy shown, whichever worker answers."""
    wait_for(lambda: all(shown(api.get(path, admin=True)) for _ in range(reads)), 30, what)


def name_is(name):
    return lambda answer: answer.status_code == 200 and answer.json()["name"] == name


def test_a_foreign_revision_is_seen_without_the_hint(record_stack):
    _, api, record = record_stack(catalog=2)
    made = api.create()
    record.revisions.insert_one(record.next_version(made["id"], name="by another hand"))
    everywhere(
        api, f"/v1/admin/products/{made['id']}", name_is("by another hand"), "the foreign revision"
    )
    answer = api.change(made["id"], 2, name="and on")
    assert answer.status_code == 200, answer.text


def test_an_unreadable_revision_is_passed_over(record_stack):
    """At the very end of the record it is in the way of the next number: writers have to get past it, and a worker that starts with it too."""
    stack, api, record = record_stack(catalog=2)
    made = api.create()
    broken = record.last() + 1
    record.revisions.insert_one(
        {
            "_id": Int64(broken),
            "entity_id": "nobody",
            "version": Int64(1),
            "nonsense": True,
        }
    )
    answer = api.change(made["id"], 1, name="past it")
    assert answer.status_code == 200, answer.text
    assert record.last() == broken + 1
    everywhere(api, f"/v1/admin/products/{made['id']}", name_is("past it"), "the change after it")
    for name in ("catalog-1", "catalog-2"):
        assert "CA-CHANGE-UNREADABLE" in stack[name].log()
    record.revisions.insert_one(
        {"_id": Int64(broken + 2), "entity_id": "nobody", "version": Int64(2)}
    )
    for name in ("catalog-1", "catalog-2"):
        stack[name].stop()
    for file in stack.folder.rglob("*.snap"):
        file.unlink()
    for name in ("catalog-1", "catalog-2"):
        stack[name].start().wait_ready()
    answer = api.change(made["id"], 2, name="past that too")
    assert answer.status_code == 200, answer.text


def test_an_unreadable_hint_is_no_hint(record_stack):
    _, api, record = record_stack(catalog=2)
    record.meta.replace_one({"_id": "head"}, {"_id": "head", "revision": "nine"}, upsert=True)
    made = api.create()
    everywhere(
        api,
        f"/v1/admin/products/{made['id']}",
        lambda answer: answer.status_code == 200,
        "a product written while the hint is broken",
    )


def test_another_database_is_read_anew(record_stack):
    """Somebody drops the database and puts a smaller one in its place, while the workers run."""
    _, api, record = record_stack(catalog=2)
    gone = api.create()
    for _ in range(3):
        api.create()
    kept = {name: list(record.database[name].find()) for name in ("revisions", "meta")}
    record.client.drop_database(record.database.name)
    record.database["revisions"].create_index(
        [("entity_id", 1), ("version", 1)], unique=True, name="entity_version"
    )
    record.database["revisions"].create_index("key", unique=True, sparse=True, name="key")
    first = next(each for each in kept["revisions"] if each["entity_id"] != gone["id"])
    other = {**first, "_id": Int64(1), "doc": {**first["doc"], "revision": 1}}
    record.revisions.insert_one(other)
    # A worker that looked in between has made rows of its own here.
    for row in ({"_id": "head", "revision": Int64(1)}, {"_id": "catalog", "identity": "ab" * 16}):
        record.meta.replace_one({"_id": row["_id"]}, row, upsert=True)
    everywhere(
        api,
        f"/v1/admin/products/{gone['id']}",
        lambda answer: answer.status_code == 404,
        "the old database is forgotten",
    )
    made = api.create()
    assert sorted(each["_id"] for each in record.revisions.find()) == [1, 2]
    everywhere(
        api,
        f"/v1/admin/products/{made['id']}",
        lambda answer: answer.status_code == 200,
        "a product of the new database",
    )


def test_a_record_that_went_back_is_read_anew(record_stack):
    """A backup is put back under a worker whose snapshot file is newer: same identity, fewer revisions."""
    stack, api, record = record_stack(catalog=1)
    kept = api.create()
    lost = api.create()
    assert stack["catalog-1"].stop() == 0
    for each in record.of(lost["id"]):
        record.revisions.delete_one({"_id": each["_id"]})
    record.meta.update_one({"_id": "head"}, {"$set": {"revision": Int64(record.last())}})
    stack["catalog-1"].start().wait_ready()
    everywhere(
        api,
        f"/v1/admin/products/{lost['id']}",
        lambda answer: answer.status_code == 404,
        "what the record does not hold is forgotten",
    )
    assert api.get(f"/v1/admin/products/{kept['id']}").status_code == 200
    api.create()
    assert sorted(each["_id"] for each in record.revisions.find()) == [1, 2]


def test_a_follower_that_was_away_copes_with_a_hole(record_stack):
    """Superseded revisions that it has not seen are trimmed while it is away; its snapshot file is older."""
    stack, api, record = record_stack(catalog=2)
    made = api.create()
    everywhere(
        api,
        f"/v1/admin/products/{made['id']}",
        lambda answer: answer.status_code == 200,
        "the product",
    )
    assert stack["catalog-1"].stop() == 0
    for version in range(1, 6):
        assert api.change(made["id"], version, name=f"name {version}").status_code == 200
    for each in record.of(made["id"])[1:-1]:
        record.revisions.delete_one({"_id": each["_id"]})
    stack["catalog-1"].start().wait_ready()
    stack["catalog-2"].stop()
    everywhere(api, f"/v1/admin/products/{made['id']}", name_is("name 5"), "the newest version")
    assert api.change(made["id"], 6, name="and on").status_code == 200


def test_only_old_superseded_revisions_are_trimmed(record_stack):
    """The newest of an entity stays however old it is, also as a tombstone; what is superseded but young stays too."""
    stack, api, record = record_stack(catalog=2, env={"SOUK_CATALOG_TRIM_MS": "200"})
    made, gone, still = api.create(), api.create(), api.create()
    for version in (1, 2, 3):
        assert api.change(made["id"], version, name=f"name {version}").status_code == 200
    headers = {"If-Match": '"1"'}
    assert api.delete(f"/v1/admin/products/{gone['id']}", headers=headers).status_code == 204
    ancient = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    old = [*record.of(made["id"])[:2], *record.of(gone["id"]), *record.of(still["id"])]
    for each in old:
        record.revisions.update_one({"_id": each["_id"]}, {"$set": {"at": ancient}})

    def versions(product):
        return [each["version"] for each in record.of(product["id"])]

    wait_for(lambda: (versions(made), versions(gone)) == ([3, 4], [2]), what="the trim")

    def trims():
        return sum(stack[name].log().count("CA-TRIMMED") for name in ("catalog-1", "catalog-2"))

    before = trims()
    extra = record.of(made["id"])[0]
    record.revisions.update_one({"_id": extra["_id"]}, {"$set": {"at": ancient}})
    wait_for(lambda: trims() > before, what="another trim")
    assert (versions(made), versions(gone), versions(still)) == ([4], [2], [1])
    for name in ("catalog-1", "catalog-2"):
        stack[name].stop()
    for file in stack.folder.rglob("*.snap"):
        file.unlink()
    for name in ("catalog-1", "catalog-2"):
        stack[name].start().wait_ready()
    everywhere(api, f"/v1/admin/products/{made['id']}", name_is("name 3"), "the newest version")
    assert api.get(f"/v1/admin/products/{gone['id']}").status_code == 404
    assert api.change(made["id"], 4, name="and on").status_code == 200


def test_a_database_that_refuses_writes_is_unavailable(record_stack, servers):
    """The server answers, and the answer is no: that is no lost race, and not worth the whole deadline."""
    if servers.external_mongodb:
        pytest.skip("needs the tables below the MongoDB protocol")
    stack, api, record = record_stack(catalog=1)
    api.create()
    url = servers.database_url.rsplit("/", 1)[0] + "/ferretdb"
    schema = record.database.name
    with psycopg.connect(url, autocommit=True) as db:
        tables = [
            row[0]
            for row in db.execute(
                "select table_name from information_schema.tables where table_schema = %s"
                " and table_name like 'revisions%%'",
                (schema,),
            )
        ]
        assert tables
        db.execute(
            f'create function "{schema}".no() returns trigger language plpgsql as '
            "'begin raise exception ''disk full''; end'"
        )
        for table in tables:
            db.execute(
                f'create trigger no before insert on "{schema}"."{table}" for each row'
                f' execute function "{schema}".no()'
            )
        refused = api.post("/v1/admin/products", json=product())
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable"), refused.text
        assert "CA-INSERT-REFUSED" in stack["catalog-1"].log()
        for table in tables:
            db.execute(f'drop trigger no on "{schema}"."{table}"')
    api.create()


def test_keyed_creates_survive_kills_exactly_once(record_stack):
    """Workers are killed under keyed creates; clients repeat what was not answered. Each key has one product, each acknowledged product stands."""
    stack, api, record = record_stack(catalog=2)
    made, lock, over = {}, threading.Lock(), threading.Event()

    def create(client, key, body):
        while True:
            try:
                answer = client.post(
                    "/v1/admin/products", json=body, headers={"Idempotency-Key": key}
                )
            except requests.ConnectionError:
                continue
            if answer.status_code == 201:
                return answer.json()
            assert answer.status_code in (502, 503, 504), answer.text

    def writer(number):
        client = Api(stack)
        for count in itertools.count():
            if over.is_set():
                return
            key = f"kill-{number}-{count}"
            body = product()
            answers = {create(client, key, body)["id"]}
            answers.add(create(client, key, body)["id"])
            assert len(answers) == 1, key
            with lock:
                made[key] = (body["slug"], *answers)

    def more():
        goal = len(made) + CREATES_BETWEEN_KILLS
        wait_for(lambda: len(made) >= goal or any(each.done() for each in running), 60, "creates")

    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        running = [pool.submit(writer, number) for number in range(WRITERS)]
        try:
            for kill in range(KILLS):
                more()
                victim = stack[f"catalog-{kill % 2 + 1}"]
                victim.kill()
                more()
                victim.start().wait_ready()
        finally:
            over.set()
        for each in running:
            each.result(60)
    stored = [each for each in record.revisions.find() if each["why"] == "create"]
    assert len(stored) == len({each["key"] for each in stored}) == len(made)
    assert {(each["doc"]["slug"], each["entity_id"]) for each in stored} == set(made.values())


def test_large_products_under_contention_need_no_more_memory(record_stack):
    """A writer that loses many numbers decides as often: its tries must not add up to the call's memory."""
    stack, _, _ = record_stack(catalog=3)

    def create(client):
        made = []
        for _ in range(12):
            body = product()
            body["options"] = ["size"]
            body["variants"] = [
                {
                    "sku": f"{body['slug']}-{n}-" + "x" * 40,
                    "price": {"amount": 1000 + n, "currency": "EUR"},
                    "option_values": {"size": f"{n} " + "s" * 30},
                }
                for n in range(200)
            ]
            body["description"] = "long " * 1500
            answer = client.post("/v1/admin/products", json=body)
            made.append((answer.status_code, answer.text[:300]))
        return made

    clients = [Api(stack) for _ in range(9)]
    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        answers = [each for made in pool.map(create, clients) for each in made]
    # 503 and 504: too many came first, which so many writers of one record may meet on a slow machine
    assert {status for status, _ in answers} <= {201, 503, 504}, [
        each for each in answers if each[0] not in (201, 503, 504)
    ][:3]
    assert 201 in {status for status, _ in answers}
