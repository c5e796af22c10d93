"""Rights that were taken away: an old token or key does not get them back, and what it has made ends with them."""

import pytest
from support.accounts import (
    PASSWORD,
    QUICK,
    UNTHROTTLED,
    Person,
    admin,
    eventually,
    give_roles,
    person,
    problem,
)
from support.stack import Stack

GONE, FORBIDDEN = (401, "unauthenticated"), (403, "forbidden")


@pytest.fixture(scope="module")
def stack(servers):
    with Stack(servers, catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED}) as started:
        yield started


@pytest.fixture(scope="module")
def boss(stack):
    return admin(stack)


def make_key(maker, **fields):
    body = {"name": "program", "scopes": ["users:read"], **fields}
    answer = maker.post("/v1/admin/api-keys", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def program_of(stack, made):
    """A program with that key, once the gateway knows it."""
    program = Person(stack)
    program.tokens = {"access_token": made["secret"]}
    eventually(lambda: program.get("/v1/admin/users").status_code == 200, "the gateway knows it")
    return program


def acts_of(somebody, target):
    """What an admin could undo a loss of rights by, and look at meanwhile."""
    key = {"name": "back door", "scopes": ["*"]}
    path = f"/v1/admin/users/{target.id}"
    return {
        "enable": lambda: somebody.post(f"{path}/enable"),
        "disable": lambda: somebody.post(f"{path}/disable"),
        "roles": lambda: somebody.put(f"{path}/roles", {"roles": ["admin"]}),
        "sessions": lambda: somebody.delete(f"{path}/sessions"),
        "second factor": lambda: somebody.delete(f"{path}/second-factor"),
        "make a key": lambda: somebody.post("/v1/admin/api-keys", key),
        "rotate": lambda: somebody.post("/v1/admin/signing-keys/rotate", {}),
        "list": lambda: somebody.get("/v1/admin/users"),
        "read": lambda: somebody.get(path),
        "keys": lambda: somebody.get("/v1/admin/api-keys"),
        "signing keys": lambda: somebody.get("/v1/admin/signing-keys"),
        "audit": lambda: somebody.get("/v1/admin/audit/users"),
    }


def refusals(somebody, target):
    return {name: problem(act()) for name, act in acts_of(somebody, target).items()}


def state_of(stack):
    with stack.connect("users") as database:
        return [
            database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
            for table in ("signing_keys", "api_keys", "audit")
        ]


# ---- people ----


@pytest.mark.parametrize("loss", ["disabled", "logged out", "demoted"])
def test_an_admin_who_is_none_any_more_cannot_undo_it(stack, boss, loss):
    former, other = admin(stack), person(stack)
    path = f"/v1/admin/users/{former.id}"
    if loss == "disabled":
        assert boss.post(f"{path}/disable").status_code == 200
    elif loss == "logged out":
        assert former.post("/v1/auth/logout").status_code == 204
    else:
        assert boss.put(f"{path}/roles", {"roles": ["customer"]}).status_code == 200
    refused = FORBIDDEN if loss == "demoted" else GONE
    before = state_of(stack)
    for target in (former, other):
        for name, answer in refusals(former, target).items():
            assert answer == refused, (name, target is former)
    victim = make_key(boss)
    assert problem(former.delete(f"/v1/admin/api-keys/{victim['id']}")) == refused
    boss.delete(f"/v1/admin/api-keys/{victim['id']}")
    after = state_of(stack)
    assert after[0] == before[0] and len(after[2]) == len(before[2]) + 2


def test_somebody_demoted_to_staff_keeps_what_staff_may(stack, boss):
    former, other = admin(stack), person(stack)
    give_roles(stack, former.id, ["staff"])
    answers = {name: act().status_code for name, act in acts_of(former, other).items()}
    assert {name for name, status in answers.items() if status == 200} == {"list", "read", "audit"}
    assert {status for status in answers.values() if status != 200} == {403}


def test_an_admin_whose_second_factor_has_ended_waits_for_another(make_stack):
    settings = {"SOUK_USERS_TOTP_REQUIRED_FOR_ADMIN": "true"}
    stack = make_stack(catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED, **settings})
    one, other = person(stack), person(stack)
    give_roles(stack, one.id, ["admin"])
    one.login()
    _, codes = one.enrol()
    assert one.refresh().status_code == 200 and "admin" in one.tokens["roles"]
    body = {"password": PASSWORD, "recovery_code": codes[0]}
    assert one.post("/v1/me/totp/disable", body).status_code == 204
    assert set(refusals(one, other).values()) == {FORBIDDEN}


# ---- keys ----


def test_keys_that_may_do_too_much_end_with_the_role(stack, boss):
    owner = admin(stack)
    all_of_it, some = make_key(owner, scopes=["*"]), make_key(owner, scopes=["users:read"])
    wide, narrow = program_of(stack, all_of_it), program_of(stack, some)
    child = wide.post("/v1/admin/api-keys", {"name": "child", "scopes": ["keys:write"]}).json()
    assert child["key"]["owner_id"] == owner.id, "as its maker's"
    boss.put(f"/v1/admin/users/{owner.id}/roles", {"roles": ["staff"]})
    eventually(lambda: wide.get("/v1/admin/users").status_code == 401, "the key has ended")
    assert narrow.get("/v1/admin/users").status_code == 200, "staff may do that too"
    for made in (all_of_it, child):
        entries = boss.get(f"/v1/admin/audit/users?target={made['id']}").json()["data"]
        assert [each["action"] for each in entries] == ["api_key.revoke", "api_key.create"]
        assert entries[0]["actor"].startswith("key_") or entries[0]["actor"] == boss.id
    boss.put(f"/v1/admin/users/{owner.id}/roles", {"roles": ["admin"]})
    listed = {each["id"]: each for each in boss.get("/v1/admin/api-keys").json()["data"]}
    assert listed[all_of_it["id"]]["revoked_at"] and listed[child["id"]]["revoked_at"]
    assert listed[some["id"]]["revoked_at"] is None


def test_a_key_does_no_more_than_its_owner_may(stack, boss):
    """Whatever its row says: roles may have been changed by another hand, or mean less than they did."""
    owner = admin(stack)
    program = program_of(stack, make_key(owner, scopes=["*"]))
    assert program.get("/v1/admin/api-keys").status_code == 200
    with stack.connect("users") as database:
        database.execute("UPDATE users SET roles = '{customer,staff}' WHERE id = %s", (owner.id,))
    assert problem(program.get("/v1/admin/api-keys")) == FORBIDDEN, "before the gateway knows"
    by_users = program.get("/v1/admin/api-keys").json().get("detail")
    eventually(
        lambda: program.get("/v1/admin/api-keys").json().get("detail") != by_users,
        "the gateway refuses it by itself",
    )
    assert program.get("/v1/admin/users").status_code == 200
    with stack.connect("users") as database:
        database.execute("UPDATE users SET roles = '{customer}' WHERE id = %s", (owner.id,))
    eventually(lambda: program.get("/v1/admin/users").status_code == 401, "nothing is left")


def test_a_revoked_key_makes_no_other(stack, boss):
    """In the seconds in which gateways still let it in."""
    program = program_of(stack, made := make_key(boss, scopes=["keys:write", "users:read"]))
    assert boss.delete(f"/v1/admin/api-keys/{made['id']}").status_code == 204
    body = {"name": "child", "scopes": ["keys:write"]}
    assert problem(program.post("/v1/admin/api-keys", body)) == GONE


def test_a_key_is_given_by_a_key_to_its_own_owner_only(stack, boss):
    other = admin(stack)
    program = program_of(stack, make_key(boss, scopes=["keys:write", "users:read"]))
    body = {"name": "child", "scopes": ["users:read"], "owner_id": other.id}
    answer = program.post("/v1/admin/api-keys", body)
    assert answer.json()["errors"][0]["pointer"] == "/owner_id"


def test_a_key_gets_no_more_than_its_owner_has(stack, boss):
    body = {"name": "x", "scopes": ["users:read", "keys:write"], "owner_id": person(stack).id}
    answer = boss.post("/v1/admin/api-keys", body)
    assert [each["pointer"] for each in answer.json()["errors"]] == ["/scopes/0"]
    give_roles(stack, body["owner_id"], ["staff"])
    answer = boss.post("/v1/admin/api-keys", body)
    assert [each["pointer"] for each in answer.json()["errors"]] == ["/scopes/1"]


def test_a_key_is_revoked_by_who_could_have_made_it(stack, boss):
    mighty, small = make_key(boss, scopes=["*"]), make_key(boss)
    program = program_of(stack, make_key(boss, scopes=["keys:write", "users:read"]))
    refused = program.delete(f"/v1/admin/api-keys/{mighty['id']}")
    assert problem(refused) == FORBIDDEN
    listed = {each["id"]: each for each in boss.get("/v1/admin/api-keys").json()["data"]}
    assert listed[mighty["id"]]["revoked_at"] is None
    assert program.delete(f"/v1/admin/api-keys/{small['id']}").status_code == 204
    assert boss.delete(f"/v1/admin/api-keys/{mighty['id']}").status_code == 204


def test_an_owner_has_at_most_a_hundred_keys(stack, boss):
    owner = admin(stack)
    with stack.connect("users") as database:
        database.execute(
            "INSERT INTO api_keys (id, name, owner_id, scopes, hash, created_by)"
            " SELECT 'key_' || lpad(n::text, 26, '0'), 'n', %s, '{users:read}', sha256(n::text::bytea), %s"
            " FROM generate_series(1, 99) n",
            (owner.id, owner.id),
        )
    make_key(owner)
    body = {"name": "one more", "scopes": ["users:read"]}
    assert problem(owner.post("/v1/admin/api-keys", body)) == (409, "limit_met")
    give_roles(stack, owner.id, ["customer"])
    with stack.connect("users") as database:
        left = "SELECT count(*) FROM api_keys WHERE owner_id = %s AND revoked_at IS NULL"
        assert database.execute(left, (owner.id,)).fetchone()[0] == 0, "all of them have ended"


def test_an_export_holds_the_keys_of_an_owner(stack, boss):
    owner = admin(stack)
    kept, ended = make_key(owner, name="Ada's warehouse"), make_key(owner)
    assert owner.delete(f"/v1/admin/api-keys/{ended['id']}").status_code == 204
    exported = owner.get("/v1/me/export").json()["api_keys"]
    assert [each["id"] for each in exported] == [ended["id"], kept["id"]]
    assert exported[1] == kept["key"] and exported[0]["revoked_at"]


# ---- the revision that gateways follow ----


def revision(stack):
    with stack.connect("users") as database:
        return database.execute("SELECT revision FROM auth_revision").fetchone()[0]


def test_what_changes_no_key_changes_no_revision(stack, boss):
    nobody, keyed = person(stack), person(stack)
    give_roles(stack, keyed.id, ["staff"])
    make_key(boss, owner_id=keyed.id)
    before = revision(stack)
    boss.put(f"/v1/admin/users/{nobody.id}/roles", {"roles": ["staff"]})
    boss.post(f"/v1/admin/users/{nobody.id}/disable")
    boss.post(f"/v1/admin/users/{nobody.id}/enable")
    nobody.login().post("/v1/me/erase", {"password": PASSWORD})
    with stack.connect("users") as database:
        database.execute("DELETE FROM signing_keys WHERE state = 'retired'")
        database.execute("UPDATE api_keys SET revoked_at = now() WHERE id = 'key_of_nobody'")
    assert revision(stack) == before
    boss.post(f"/v1/admin/users/{keyed.id}/disable")
    assert revision(stack) > before
