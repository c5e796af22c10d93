"""Profile and addresses: merge patches, versions, keys, defaults, bounds, bad input."""

import concurrent.futures

import pytest
from support.accounts import QUICK, UNTHROTTLED, address, person, problem
from support.stack import Stack


@pytest.fixture(scope="module")
def stack(servers):
    with Stack(servers, catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED}) as started:
        yield started


@pytest.fixture
def somebody(stack):
    return person(stack)


def add(somebody, **fields):
    answer = somebody.post("/v1/me/addresses", address(**fields))
    assert answer.status_code == 201, answer.text
    return answer.json()


# ---- profile ----


def test_a_profile_is_merged(somebody):
    first = somebody.patch("/v1/me", {"name": "Ada", "phone": "+44 20 7946 0958"})
    assert first.status_code == 200, first.text
    assert (first.json()["name"], first.json()["phone"]) == ("Ada", "+44 20 7946 0958")
    second = somebody.patch("/v1/me", {"name": None}).json()
    assert (second["name"], second["phone"]) == (None, "+44 20 7946 0958")
    assert second["version"] == first.json()["version"] + 1


def test_a_profile_changes_at_the_version_that_was_seen(somebody):
    etag = somebody.get("/v1/me").headers["ETag"]
    assert somebody.patch("/v1/me", {"name": "A"}, headers={"If-Match": etag}).status_code == 200
    stale = somebody.patch("/v1/me", {"name": "B"}, headers={"If-Match": etag})
    assert problem(stale) == (412, "precondition_failed")
    assert somebody.patch("/v1/me", {"name": "C"}, headers={"If-Match": "*"}).status_code == 200


def test_a_key_makes_a_change_happen_once(somebody):
    key = {"Idempotency-Key": "change-1"}
    first = somebody.patch("/v1/me", {"name": "Once"}, headers=key)
    again = somebody.patch("/v1/me", {"name": "Once"}, headers=key)
    assert first.json() == again.json() == somebody.get("/v1/me").json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert problem(somebody.patch("/v1/me", {"name": "Twice"}, headers=key)) == (422, "key_reused")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "\u2028"}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"phone": "call me"}, "/phone"),
        ({"phone": "12"}, "/phone"),
        ({"phone": "+" + "1" * 21}, "/phone"),
        ({"locale": None, "phone": "1+2345"}, "/phone"),
        ({"email": "new@example.com"}, "/email"),
        ({"roles": ["admin"]}, "/roles"),
        ({"email_verified": True}, "/email_verified"),
        ({}, ""),
    ],
)
def test_a_bad_profile_names_the_field(somebody, fields, pointer):
    answer = somebody.patch("/v1/me", fields)
    assert problem(answer) == (422, "validation"), answer.text
    assert pointer in [each["pointer"] for each in answer.json()["errors"]]
    assert somebody.get("/v1/me").json()["version"] == 1


# ---- addresses ----


def test_addresses_are_kept_read_changed_and_removed(somebody):
    made = add(
        somebody, company="Analytical Engines", region="Greater London", phone="020 7946 0958"
    )
    path = f"/v1/me/addresses/{made['id']}"
    read = somebody.get(path)
    assert read.json() == made and read.headers["ETag"] == '"1"'
    changed = somebody.patch(path, {"company": None, "line2": "2nd floor"}).json()
    assert "company" not in changed or changed["company"] is None
    assert (changed["line2"], changed["region"], changed["version"]) == (
        "2nd floor",
        "Greater London",
        2,
    )
    stale = somebody.patch(path, {"city": "Paris"}, headers={"If-Match": '"1"'})
    assert problem(stale) == (412, "precondition_failed")
    assert somebody.delete(path).status_code == 204
    assert problem(somebody.get(path)) == (404, "not_found")
    assert somebody.get("/v1/me/addresses").json() == {"data": []}


def test_others_addresses_are_not_there(stack, somebody):
    path = f"/v1/me/addresses/{add(person(stack))['id']}"
    assert problem(somebody.get(path)) == (404, "not_found")
    assert problem(somebody.patch(path, {"city": "Mine"})) == (404, "not_found")
    assert problem(somebody.delete(path)) == (404, "not_found")


def defaults(somebody, kind):
    listed = somebody.get("/v1/me/addresses").json()["data"]
    return [each["id"] for each in listed if each[f"default_{kind}"]]


def test_there_is_one_default_of_each_kind(somebody):
    one = add(somebody, default_shipping=True, default_billing=True)
    two = add(somebody, default_shipping=True)
    assert (defaults(somebody, "shipping"), defaults(somebody, "billing")) == (
        [two["id"]],
        [one["id"]],
    )
    somebody.patch(f"/v1/me/addresses/{one['id']}", {"default_shipping": True})
    assert defaults(somebody, "shipping") == [one["id"]]
    somebody.patch(f"/v1/me/addresses/{one['id']}", {"default_shipping": False})
    assert defaults(somebody, "shipping") == []


def test_there_is_one_default_when_many_want_to_be_it(somebody):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = [pool.submit(add, somebody, default_shipping=True) for _ in range(8)]
        assert all(each.result() for each in made)
    assert len(defaults(somebody, "shipping")) == 1


def test_an_account_has_at_most_fifty(stack, somebody):
    with stack.connect("users") as database:
        database.execute(
            "INSERT INTO addresses (id, user_id, name, line1, city, country, default_shipping, default_billing)"
            " SELECT 'adr_' || lpad(n::text, 26, '0'), %s, 'N', 'L', 'C', 'GB', false, false"
            " FROM generate_series(1, 46) n",
            (somebody.id,),
        )
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: somebody.post("/v1/me/addresses", address()), range(8)))
    assert sorted(each.status_code for each in answers) == [201] * 4 + [409] * 4
    assert problem(somebody.post("/v1/me/addresses", address())) == (409, "limit_met")
    assert len(somebody.get("/v1/me/addresses").json()["data"]) == 50


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": None}, "/name"),
        ({"name": " "}, "/name"),
        ({"line1": "a\tb\u0007"}, "/line1"),
        ({"line1": "x" * 201}, "/line1"),
        ({"city": ""}, "/city"),
        ({"country": "gb"}, "/country"),
        ({"country": "UK"}, "/country"),
        ({"country": "GBR"}, "/country"),
        ({"country": "\u00df\u00df"}, "/country"),
        ({"postal_code": "1" * 21}, "/postal_code"),
        ({"phone": "x"}, "/phone"),
        ({"phone": "12345x"}, "/phone"),
        ({"default_shipping": "yes"}, "/default_shipping"),
        ({"user_id": "usr_01JD3YV4M8Q6T0R7ZK5N2X9W1B"}, "/user_id"),
    ],
)
def test_a_bad_address_names_the_field(somebody, fields, pointer):
    answer = somebody.post("/v1/me/addresses", address(**fields))
    assert problem(answer) == (422, "validation"), answer.text
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


def test_full_unicode_is_kept(somebody):
    made = add(
        somebody,
        name="\u674e\u5c0f\u9f99",
        city="Malm\u006f\u0308",
        line1="\u6771\u4eac\u90fd\u5343\u4ee3\u7530\u533a 1\u20111",
    )
    assert (made["name"], made["city"]) == ("\u674e\u5c0f\u9f99", "Malm\u00f6")
