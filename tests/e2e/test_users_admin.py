"""What admins do: users, roles, API keys, signing keys, and the log of it."""

import base64
import concurrent.futures
import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import requests
from support.accounts import (
    PASSWORD,
    QUICK,
    UNTHROTTLED,
    Person,
    admin,
    age_next_key,
    eventually,
    give_roles,
    person,
    problem,
)
from support.authz import project
from support.stack import Stack

NOBODY = "usr_01JD3YV4M8Q6T0R7ZK5N2X9W1B"


@pytest.fixture(scope="module")
def stack(servers):
    with Stack(servers, catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED}) as started:
        yield started


@pytest.fixture(scope="module")
def boss(stack):
    return admin(stack)


def with_key(stack, secret):
    """A program with an API key."""
    program = Person(stack)
    program.tokens = {"access_token": secret}
    return program


def make_key(boss, **fields):
    answer = boss.post(
        "/v1/admin/api-keys", {"name": "program", "scopes": ["users:read"], **fields}
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


# ---- users ----


def test_users_are_listed_in_pages_and_found(stack, boss):
    made = [
        Person(stack, f"listed-{n}@example.com")
        .register(name=f"\u017bo\u0142\u0105d\u017a {n}")
        .login()
        for n in range(5)
    ]
    newest = [each.id for each in reversed(made)]
    walked, path = [], "/v1/admin/users?limit=2"
    while path and len(walked) < 5:
        page = boss.get(path).json()
        walked += [each["id"] for each in page["data"]]
        cursor = page["page"]["next"]
        path = cursor and f"/v1/admin/users?limit=2&cursor={cursor}"
    assert walked[:5] == newest

    def found(query):
        return [each["id"] for each in boss.get(f"/v1/admin/users?{query}").json()["data"]]

    assert found("q=LISTED-3@") == [made[3].id]
    assert found("q=listed-") == newest
    assert found("q=%C5%BBO%C5%81%C4%84d%C5%BA%204") == [made[4].id]
    assert found(f"q={made[2].id}") == [made[2].id]
    assert found("q=listed_%25") == [], "no pattern"
    assert boss.id in found("role=admin") and made[0].id not in found("role=admin")
    assert found("status=erased&q=listed-") == []
    assert problem(boss.get("/v1/admin/users?cursor=x")) == (400, "malformed")
    one = boss.get(f"/v1/admin/users/{made[0].id}").json()
    assert (one["email"], one["status"], one["sessions"]) == ("listed-0@example.com", "active", 1)
    assert problem(boss.get(f"/v1/admin/users/{NOBODY}")) == (404, "not_found")


def test_customers_and_staff_do_not_govern(stack, boss):
    somebody, staff = person(stack), person(stack)
    give_roles(stack, staff.id, ["staff"])
    staff.login()
    assert problem(somebody.get("/v1/admin/users")) == (403, "forbidden")
    assert staff.get("/v1/admin/users").status_code == 200
    assert staff.get("/v1/admin/audit/users").status_code == 200
    for answer in (
        staff.put(f"/v1/admin/users/{staff.id}/roles", {"roles": ["admin"]}),
        staff.post(f"/v1/admin/users/{somebody.id}/disable"),
        staff.delete(f"/v1/admin/users/{somebody.id}/sessions"),
        staff.post("/v1/admin/api-keys", {"name": "x", "scopes": ["users:read"]}),
        staff.get("/v1/admin/api-keys"),
        staff.post("/v1/admin/signing-keys/rotate", {}),
    ):
        assert problem(answer) == (403, "forbidden"), answer.text


def test_roles_count_from_the_next_exchange_on(stack, boss):
    somebody = person(stack)
    given = boss.put(f"/v1/admin/users/{somebody.id}/roles", {"roles": ["staff"]})
    assert given.json()["roles"] == ["customer", "staff"]
    assert given.json()["version"] == 2
    assert somebody.refresh().status_code == 200
    assert somebody.tokens["roles"] == ["customer", "staff"]
    bad = boss.put(f"/v1/admin/users/{somebody.id}/roles", {"roles": ["staff", "emperor"]})
    assert [each["pointer"] for each in bad.json()["errors"]] == ["/roles/1"]
    assert problem(boss.put(f"/v1/admin/users/{NOBODY}/roles", {"roles": []})) == (404, "not_found")


def test_nobody_gives_what_they_have_not(stack, boss):
    """A key with users:write alone may neither make an admin nor act on one."""
    program = with_key(stack, make_key(boss, scopes=["users:read", "users:write"])["secret"])
    eventually(
        lambda: program.get("/v1/admin/users").status_code == 200, "the gateway knows the key"
    )
    somebody = person(stack)
    path = f"/v1/admin/users/{somebody.id}"
    assert program.put(f"{path}/roles", {"roles": ["customer"]}).status_code == 200
    for role in ("staff", "admin"):
        assert problem(program.put(f"{path}/roles", {"roles": [role]})) == (403, "forbidden")
    for answer in (
        program.put(f"/v1/admin/users/{boss.id}/roles", {"roles": []}),
        program.post(f"/v1/admin/users/{boss.id}/disable"),
        program.delete(f"/v1/admin/users/{boss.id}/sessions"),
        program.delete(f"/v1/admin/users/{boss.id}/second-factor"),
    ):
        assert problem(answer) == (403, "forbidden")
    assert program.post(f"{path}/disable").status_code == 200


def test_a_disabled_user_is_out_until_enabled(stack, boss):
    somebody = person(stack)
    path = f"/v1/admin/users/{somebody.id}"
    disabled = boss.post(f"{path}/disable")
    assert disabled.json()["status"] == "disabled"
    seen = boss.get(path)
    assert (seen.json()["status"], seen.json()["sessions"]) == ("disabled", 0)
    assert seen.headers["ETag"] == disabled.headers["ETag"]
    assert problem(boss.post(f"{path}/disable")) == (409, "conflict")
    assert problem(somebody.get("/v1/me")) == (401, "unauthenticated")
    assert problem(somebody.refresh()) == (401, "unauthenticated")
    assert problem(somebody.try_login()) == (403, "account_disabled")
    assert problem(somebody.try_login(password="not it at all")) == (401, "credentials_wrong")
    events = len(somebody.mails())
    somebody.post("/v1/auth/password-reset", {"email": somebody.email})
    assert len(somebody.mails()) == events, "no mail"
    assert boss.post(f"{path}/enable").json()["status"] == "active"
    somebody.login()


def test_an_admin_ends_sessions(stack, boss):
    somebody = person(stack)
    assert boss.delete(f"/v1/admin/users/{somebody.id}/sessions").status_code == 204
    assert problem(somebody.refresh()) == (401, "unauthenticated")


def test_an_admin_ends_a_lost_second_factor(stack, boss):
    somebody = person(stack)
    somebody.enrol()
    path = f"/v1/admin/users/{somebody.id}/second-factor"
    assert problem(somebody.try_login()) == (401, "totp_missing")
    assert boss.delete(path).status_code == 204
    assert problem(boss.delete(path)) == (409, "totp_inactive")
    assert problem(somebody.refresh()) == (401, "unauthenticated")
    assert somebody.login().get("/v1/me").json()["recovery_codes_left"] == 0
    entries = boss.get(f"/v1/admin/audit/users?target={somebody.id}").json()["data"]
    assert [(each["action"], each["after"]) for each in entries] == [
        ("user.second_factor_end", {"second_factor": False})
    ]


def test_an_erased_user_is_a_tombstone(stack, boss):
    somebody = person(stack)
    somebody.post("/v1/me/erase", {"password": PASSWORD})
    seen = boss.get(f"/v1/admin/users/{somebody.id}").json()
    assert (seen["email"], seen["name"], seen["roles"], seen["status"]) == (
        None,
        None,
        [],
        "erased",
    )
    assert problem(boss.post(f"/v1/admin/users/{somebody.id}/enable")) == (404, "not_found")


def test_somebody_stays_admin(make_stack):
    stack = make_stack(catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED})
    one = admin(stack)
    path = f"/v1/admin/users/{one.id}"
    assert problem(one.put(f"{path}/roles", {"roles": ["staff"]})) == (409, "last_admin")
    assert problem(one.post(f"{path}/disable")) == (409, "last_admin")
    assert problem(one.post("/v1/me/erase", {"password": PASSWORD})) == (409, "last_admin")
    for _ in range(4):
        two = admin(stack)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            answers = list(
                pool.map(
                    lambda pair: pair[0].put(f"/v1/admin/users/{pair[1].id}/roles", {"roles": []}),
                    [(one, two), (two, one)],
                )
            )
        assert sorted(each.status_code for each in answers) == [200, 403], "who lost it, lost it"
        one = two if answers[1].status_code == 200 else one
        assert one.login().tokens["roles"] == ["customer", "admin"]


# ---- API keys ----


def test_an_api_key_lives_and_ends(stack, boss):
    made = make_key(boss, name="Warehouse \u00c9", scopes=["users:read", "audit:read"])
    assert made["key"]["owner_id"] == made["key"]["created_by"] == boss.id
    assert made["secret"].startswith(f"souk_{made['id'].removeprefix('key_')}_")
    program = with_key(stack, made["secret"])
    eventually(
        lambda: program.get("/v1/admin/users").status_code == 200, "the gateway knows the key"
    )
    assert problem(program.get("/v1/admin/api-keys")) == (403, "forbidden"), "not its scope"
    assert problem(program.get("/v1/me")) == (403, "forbidden"), "no user"
    wrong = with_key(stack, made["secret"][:-4] + "AAAA")
    assert problem(wrong.get("/v1/admin/users")) == (401, "unauthenticated")
    listed = boss.get("/v1/admin/api-keys")
    assert made["key"] in listed.json()["data"] and made["secret"][-43:] not in listed.text
    path = f"/v1/admin/api-keys/{made['id']}"
    assert boss.delete(path).status_code == 204
    assert problem(boss.delete(path)) == (404, "not_found")
    eventually(
        lambda: program.get("/v1/admin/users").status_code == 401, "the gateway has forgotten it"
    )
    with stack.connect("users") as database:
        assert made["secret"][-43:] not in str(
            database.execute("SELECT * FROM api_keys").fetchall()
        )


def test_a_key_ends_on_the_clock(make_stack):
    """Housekeeping looks every half minute; no gateway waits for it."""
    stack = make_stack(catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED})
    boss = admin(stack)
    until = datetime.now(UTC) + timedelta(seconds=8)
    made = make_key(boss, expires_at=until.isoformat(timespec="seconds").replace("+00:00", "Z"))
    program = with_key(stack, made["secret"])
    eventually(lambda: program.get("/v1/admin/users").status_code == 200, "it is known")
    eventually(lambda: program.get("/v1/admin/users").status_code == 401, "it ended")
    late_s = (datetime.now(UTC) - until).total_seconds()
    with stack.connect("users") as database:
        ended = database.execute(
            "SELECT revoked_at FROM api_keys WHERE id = %s", (made["id"],)
        ).fetchone()[0]
    assert late_s < 3 and ended is None, "the clock alone ended it"


def test_all_api_keys_with_all_scopes_fit_one_answer(make_stack):
    stack = make_stack(catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED})
    boss = admin(stack)
    scopes = [each.name for each in project().scopes]
    while (room := 256 - len(" ".join([*scopes, ""]))) > 0:
        scopes.append("x" * min(room, 64))
    most = next(each for each in project().methods() if each.auth_source).reply
    count = next(each for each in most.fields if each.name == "api_keys").max
    with stack.connect("users") as database:
        database.execute(
            "INSERT INTO api_keys (id, name, scopes, hash, created_by, expires_at)"
            " SELECT 'key_01JD3YV4M8Q6T0R7ZK5N2' || lpad(n::text, 5, '0'), 'many', %s,"
            " sha256(convert_to('0123456789abcdef' || n, 'UTF8')), 'test',"
            " now() + interval '1 day 1 microsecond' FROM generate_series(1, %s) n",
            (scopes, count),
        )
    for n in (1, count):
        secret = f"souk_01JD3YV4M8Q6T0R7ZK5N2{n:05}_0123456789abcdef{n}"
        eventually(
            lambda secret=secret: with_key(stack, secret).get("/v1/admin/users").status_code == 200,
            "the gateway knows each of them",
        )
    more = boss.post("/v1/admin/api-keys", {"name": "one more", "scopes": ["users:read"]})
    assert problem(more) == (409, "limit_met")


def test_a_key_ends_with_its_owner(stack, boss):
    owner = person(stack)
    give_roles(stack, owner.id, ["staff"])
    made = make_key(boss, owner_id=owner.id)
    program = with_key(stack, made["secret"])
    eventually(
        lambda: program.get("/v1/admin/users").status_code == 200, "the gateway knows the key"
    )
    boss.post(f"/v1/admin/users/{owner.id}/disable")
    eventually(lambda: program.get("/v1/admin/users").status_code == 401, "it ended")
    boss.post(f"/v1/admin/users/{owner.id}/enable")
    eventually(lambda: program.get("/v1/admin/users").status_code == 200, "it is back")
    owner.login().post("/v1/me/erase", {"password": PASSWORD})
    eventually(lambda: program.get("/v1/admin/users").status_code == 401, "it ended for good")


def test_a_key_gets_no_more_than_its_maker_has(stack, boss):
    program = with_key(stack, make_key(boss, scopes=["keys:write", "users:read"])["secret"])
    eventually(
        lambda: program.get("/v1/admin/api-keys").status_code == 200, "the gateway knows the key"
    )
    body = {"name": "child", "scopes": ["users:read"]}
    child = program.post("/v1/admin/api-keys", body)
    assert child.status_code == 201 and child.json()["key"]["owner_id"] == boss.id
    for scopes in (["*"], ["users:write"], ["users:read", "catalog:write"]):
        answer = program.post("/v1/admin/api-keys", {"name": "child", "scopes": scopes})
        assert problem(answer) == (403, "forbidden"), scopes


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["users:read", "users:read"]}, "/scopes/1"),
        ({"scopes": ["users:fly"]}, "/scopes/0"),
        ({"scopes": ["users:read"] + [f"x:{n}" for n in range(32)]}, "/scopes"),
        ({"owner_id": NOBODY}, "/owner_id"),
        ({"owner_id": "me"}, "/owner_id"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "soon"}, "/expires_at"),
    ],
)
def test_a_bad_key_names_the_field(boss, fields, pointer):
    answer = boss.post("/v1/admin/api-keys", {"name": "x", "scopes": ["users:read"], **fields})
    assert problem(answer) == (422, "validation"), answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


# ---- signing keys ----


def kid_of(token):
    head = token.partition(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]


def published(stack):
    answer = requests.get(stack.url + "/.well-known/jwks.json", timeout=30)
    return {each["kid"] for each in answer.json()["keys"]}


def test_the_signing_key_changes_and_tokens_go_on(stack, boss):
    before = {each["state"]: each for each in boss.get("/v1/admin/signing-keys").json()["data"]}
    somebody = person(stack)
    assert kid_of(somebody.tokens["access_token"]) == before["active"]["kid"]
    age_next_key(stack)
    rotated = boss.post("/v1/admin/signing-keys/rotate", {})
    assert rotated.status_code == 200, rotated.text
    after = {each["kid"]: each["state"] for each in rotated.json()["data"]}
    assert after[before["next"]["kid"]] == "active"
    assert after[before["active"]["kid"]] == "retired"
    eventually(
        lambda: kid_of(somebody.login().tokens["access_token"]) == before["next"]["kid"],
        "the worker signs by the new key",
    )
    assert somebody.get("/v1/me").status_code == 200
    assert boss.get("/v1/me").status_code == 200, "a token of the former key is still good"
    eventually(lambda: published(stack) >= set(after), "all are published")


def test_a_withdrawn_key_verifies_nothing(make_stack):
    stack = make_stack(catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED})
    boss, somebody = admin(stack), person(stack)
    kid = kid_of(somebody.tokens["access_token"])
    assert somebody.get("/v1/me").status_code == 200
    age_next_key(stack)
    assert boss.post("/v1/admin/signing-keys/rotate", {"withdraw": True}).status_code == 200
    eventually(lambda: kid not in published(stack), "it is not published any more")
    eventually(
        lambda: somebody.get("/v1/me").status_code == 401, "the gateway refuses its tokens", 60
    )
    eventually(lambda: kid_of(somebody.login().tokens["access_token"]) != kid, "another one signs")
    eventually(lambda: somebody.get("/v1/me").status_code == 200, "and is trusted")


def test_a_next_key_is_published_before_it_signs(make_stack):
    env = {**QUICK, **UNTHROTTLED, "SOUK_USERS_KEY_PUBLISH_S": "3600"}
    stack = make_stack(catalog=0, diag=0, users=1, env=env)
    answer = requests.post(
        stack.url + "/v1/admin/signing-keys/rotate", json={}, headers=stack.admin, timeout=30
    )
    assert problem(answer) == (409, "key_too_young")
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600


def test_a_key_that_is_due_changes_by_itself(make_stack):
    stack = make_stack(catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED})
    with stack.connect("users") as database:
        state = "SELECT kid FROM signing_keys WHERE state = 'next'"
        following = database.execute(state).fetchone()[0]
        database.execute(
            "UPDATE signing_keys SET activated_at = now() - interval '31 days' WHERE state = 'active'"
        )
    age_next_key(stack)
    stack["users-1"].restart()
    somebody = Person(stack).register()
    eventually(
        lambda: kid_of(somebody.login().tokens["access_token"]) == following,
        "the next key signs",
        90,
    )


def test_a_next_key_signs_when_there_is_none_that_does(make_stack):
    stack = make_stack(catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED})
    with stack.connect("users") as database:
        state = "SELECT kid FROM signing_keys WHERE state = 'next'"
        following = database.execute(state).fetchone()[0]
        stack["users-1"].stop()
        database.execute("DELETE FROM signing_keys WHERE state = 'active'")
        stack["users-1"].start()
        stack["users-1"].wait_ready()
        states = "SELECT state FROM signing_keys ORDER BY state"
        assert database.execute(states).fetchall() == [("active",), ("next",)]
    assert kid_of(Person(stack).register().login().tokens["access_token"]) == following


# ---- the log ----


def test_every_act_of_an_admin_is_logged(stack, boss):
    somebody = person(stack)
    path = f"/v1/admin/users/{somebody.id}"
    boss.put(f"{path}/roles", {"roles": ["staff"]}, headers={"X-Request-Id": "audit-test-1"})
    boss.post(f"{path}/disable")
    boss.post(f"{path}/enable")
    boss.delete(f"{path}/sessions")
    boss.put(f"/v1/admin/users/{NOBODY}/roles", {"roles": []})
    entries = boss.get(f"/v1/admin/audit/users?target={somebody.id}").json()["data"]
    assert [(each["action"], each["before"], each["after"]) for each in reversed(entries)] == [
        ("user.roles", {"roles": ["customer"]}, {"roles": ["customer", "staff"]}),
        ("user.disable", {"status": "active"}, {"status": "disabled"}),
        ("user.enable", {"status": "disabled"}, {"status": "active"}),
        ("user.sessions_end", {"sessions": 0}, None),
    ]
    assert {each["actor"] for each in entries} == {boss.id}
    assert all(each["request_id"] for each in entries)
    made = make_key(boss, scopes=["audit:read"])
    boss.delete(f"/v1/admin/api-keys/{made['id']}")
    entries = boss.get(f"/v1/admin/audit/users?target={made['id']}").json()["data"]
    assert [each["action"] for each in entries] == ["api_key.revoke", "api_key.create"]
    assert entries[1]["after"] == {"name": "program", "owner_id": boss.id, "scopes": ["audit:read"]}
    first = boss.get("/v1/admin/audit/users?limit=1").json()
    cursor = first["page"]["next"]
    second = boss.get(f"/v1/admin/audit/users?limit=1&cursor={cursor}").json()
    assert second["data"][0]["id"] < first["data"][0]["id"]
    assert boss.get(f"/v1/admin/audit/users?actor={NOBODY}").json()["data"] == []


def test_a_replayed_act_is_logged_once(stack, boss):
    somebody = person(stack)
    headers = {"Idempotency-Key": f"disable-{somebody.id}"}
    path = f"/v1/admin/users/{somebody.id}/disable"
    answers = [boss.post(path, headers=headers) for _ in range(2)]
    assert [each.status_code for each in answers] == [200, 200]
    entries = boss.get(f"/v1/admin/audit/users?target={somebody.id}").json()["data"]
    assert [each["action"] for each in entries] == ["user.disable"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "ALTER TABLE audit DISABLE TRIGGER ALL",
        "DELETE FROM users",
        "DELETE FROM auth_revision",
    ],
)
def test_the_service_cannot_change_its_past(stack, statement):
    with (
        psycopg.connect(stack.service_url("users"), autocommit=True) as service,
        pytest.raises(psycopg.Error),
    ):
        service.execute(statement)
