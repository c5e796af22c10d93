"""Passwords, the tokens of mails, and the end of an account."""

import json

import msgpack
import pytest
from support.accounts import (
    PASSWORD,
    QUICK,
    UNTHROTTLED,
    Person,
    address,
    admin,
    in_parallel,
    person,
    problem,
)
from support.stack import Stack

GONE = (401, "unauthenticated")


@pytest.fixture(scope="module")
def stack(servers):
    with Stack(servers, catalog=0, diag=0, users=2, env={**QUICK, **UNTHROTTLED}) as started:
        yield started


# ---- passwords ----


def test_a_password_changes_by_the_present_one(stack):
    here = person(stack)
    there = here.again().login()
    body = {"current_password": "not it at all", "password": "staple wagon lantern"}
    assert problem(here.post("/v1/me/password", body)) == (403, "password_wrong")
    body["current_password"] = here.password
    assert problem(here.post("/v1/me/password", {**body, "password": "password"})) == (
        422,
        "validation",
    )
    assert here.post("/v1/me/password", body).status_code == 204
    assert here.get("/v1/me").status_code == 200, "this session goes on"
    assert problem(there.get("/v1/me")) == GONE, "the others have ended"
    assert problem(here.try_login()) == (401, "credentials_wrong")
    here.password = "staple wagon lantern"
    here.login()
    assert here.mails()[-1][0] == "user.password_changed"


def test_two_changes_at_once_of_one_password_are_one(stack):
    somebody = person(stack)

    def change(n):
        body = {"current_password": PASSWORD, "password": f"new password {n}"}
        return somebody.post("/v1/me/password", body)

    answers = in_parallel([lambda n=n: change(n) for n in range(4)])
    assert sorted(each.status_code for each in answers) == [204, 403, 403, 403]


def reset(somebody):
    return somebody.post("/v1/auth/password-reset", {"email": somebody.email})


def confirm(somebody, token, password="staple wagon lantern"):
    body = {"token": token, "password": password}
    return somebody.post("/v1/auth/password-reset/confirm", body)


def test_a_forgotten_password_is_set_by_a_mailed_token(stack):
    somebody = person(stack)
    known, unknown = reset(somebody), reset(Person(stack, "nobody-here@example.com"))
    assert known.status_code == unknown.status_code == 202
    assert known.json() == unknown.json() == {"expires_in": 3600}
    token = somebody.token("user.password_reset_requested")
    assert problem(confirm(somebody, token[:-1] + "!")) == (422, "token_invalid")
    assert problem(confirm(somebody, token, "short")) == (422, "validation")
    assert confirm(somebody, token).status_code == 204
    assert problem(confirm(somebody, token)) == (422, "token_invalid"), "it is good once"
    assert problem(somebody.get("/v1/me")) == GONE, "sessions have ended"
    assert problem(somebody.try_login()) == (401, "credentials_wrong")
    somebody.password = "staple wagon lantern"
    assert somebody.login().get("/v1/me").json()["email_verified"] is True
    with stack.connect("users") as database:
        stored = database.execute("SELECT count(*) FROM one_time_tokens WHERE kind = 'password'")
        assert stored.fetchone()[0] == 0


def test_a_token_of_many_confirmations_at_once_is_used_once(stack):
    somebody = person(stack)
    reset(somebody)
    token = somebody.token("user.password_reset_requested")
    answers = in_parallel(
        [lambda n=n: confirm(somebody.again(), token, f"new password {n}") for n in range(6)]
    )
    assert sorted(each.status_code for each in answers) == [204] + [422] * 5


def test_an_older_token_stays_good_until_one_is_used(stack):
    somebody = person(stack)
    reset(somebody)
    first = somebody.token("user.password_reset_requested")
    reset(somebody)
    second = somebody.token("user.password_reset_requested")
    assert first != second
    assert confirm(somebody, first).status_code == 204
    assert problem(confirm(somebody, second)) == (422, "token_invalid")


def test_tokens_expire_and_are_of_their_kind(stack):
    somebody = person(stack)
    reset(somebody)
    token = somebody.token("user.password_reset_requested")
    verify = somebody.token("user.registered")
    assert problem(confirm(somebody, verify)) == (422, "token_invalid")
    assert problem(somebody.post("/v1/auth/verify-email", {"token": token})) == (
        422,
        "token_invalid",
    )
    with stack.connect("users") as database:
        database.execute(
            "UPDATE one_time_tokens SET expires_at = now() WHERE user_id = %s", (somebody.id,)
        )
    assert problem(confirm(somebody, token)) == (422, "token_invalid")


def test_an_address_is_confirmed_by_a_mailed_token(stack):
    somebody = person(stack)
    assert somebody.post("/v1/me/verify-email").json() == {"expires_in": 172800}
    token = somebody.token("user.email_verification_requested")
    stranger = Person(stack)
    assert stranger.post("/v1/auth/verify-email", {"token": token}).status_code == 204
    assert problem(stranger.post("/v1/auth/verify-email", {"token": token})) == (
        422,
        "token_invalid",
    )
    assert somebody.get("/v1/me").json()["email_verified"] is True
    assert problem(somebody.post("/v1/me/verify-email")) == (409, "conflict")


# ---- the end of an account ----


def everything(stack):
    """All that the service's tables hold, as text."""
    with stack.connect("users") as database:
        tables = database.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'users' ORDER BY 1"
        ).fetchall()
        rows = [
            database.execute(f"SELECT to_jsonb(t)::text FROM {name} t").fetchall()
            for (name,) in tables
        ]
        replies = database.execute(
            "SELECT reply FROM idempotency WHERE reply IS NOT NULL"
        ).fetchall()
    stored = [json.dumps(msgpack.unpackb(reply, timestamp=3), default=str) for (reply,) in replies]
    return "\n".join([row for table in rows for (row,) in table] + stored)


def test_an_export_holds_all_that_is_kept(stack):
    somebody = person(stack)
    somebody.post("/v1/me/addresses", address(city="K\u00f6ln"))
    export = somebody.get("/v1/me/export").json()
    assert export["account"] == somebody.get("/v1/me").json()
    assert [each["city"] for each in export["addresses"]] == ["K\u00f6ln"]
    assert [each["current"] for each in export["sessions"]] == [True]
    assert export["api_keys"] == []
    assert export["known_addresses"] == ["127.0.0.1"]
    assert export["elsewhere"] == {"orders": "GET /v1/orders"}


def test_an_erased_account_leaves_nothing_but_its_tombstone(stack):
    somebody = Person(stack, "to-be-forgotten@example.com").register(name="Forget Mewell").login()
    key = {"Idempotency-Key": "profile-1"}
    somebody.patch("/v1/me", {"phone": "+49 30 1234567"}, headers=key)
    somebody.post("/v1/me/addresses", address(name="Forget Mewell", city="Lethe"))
    reset(somebody)
    boss, path = admin(stack), f"/v1/admin/users/{somebody.id}"
    for verb, what, body in (
        ("PUT", "roles", {"roles": ["staff"]}),
        ("POST", "disable", None),
        ("POST", "enable", None),
        ("DELETE", "sessions", None),
    ):
        headers = {"Idempotency-Key": f"{what}-1"}
        answer = boss.request(verb, f"{path}/{what}", body, headers=headers)
        assert answer.status_code in (200, 204), answer.text
        told_to_admins = set() if answer.status_code == 204 else set(answer.json())
        assert told_to_admins <= {"id", "version", "roles", "status"}
    somebody.login()
    told = ("to-be-forgotten", "Forget", "Lethe", "1234567")
    assert all(word.lower() in everything(stack).lower() for word in told)
    assert problem(somebody.post("/v1/me/erase", {"password": "not it at all"})) == (
        403,
        "password_wrong",
    )
    assert somebody.post("/v1/me/erase", {"password": somebody.password}).status_code == 204
    left = everything(stack)
    assert [word for word in told if word.lower() in left.lower()] == []
    rows = [json.loads(row) for row in left.splitlines() if somebody.id in row]
    tombstone = next(row for row in rows if row.get("status") == "erased")
    assert {k for k, v in tombstone.items() if v not in (None, [], 0)} == {
        "id",
        "status",
        "version",
        "events",
        "created_at",
        "updated_at",
        "erased_at",
        "erased_number",
    }
    events = [row for row in rows if row.get("aggregate") == somebody.id]
    assert events[-1]["type"] == "user.erased" or "user.erased" in {e["type"] for e in events}
    assert all(e["payload"].keys() <= {"user_id", "erased"} for e in events)
    assert problem(somebody.get("/v1/me")) == GONE
    assert problem(somebody.refresh()) == GONE
    assert problem(somebody.try_login()) == (401, "credentials_wrong")
    again = Person(stack, somebody.email).register().login()
    assert again.id != somebody.id, "the address is free again"


def test_an_erasure_beside_other_writes_ends_with_nothing_left(stack):
    """A profile change and a login that race with the erasure come before it, or not at all."""
    for n in range(5):
        somebody = Person(stack, f"racing-{n}@example.com").register(name="Raceme Now").login()
        in_parallel(
            [
                lambda s=somebody: s.post("/v1/me/erase", {"password": s.password}),
                lambda s=somebody: s.patch("/v1/me", {"name": "Raceme Later"}),
                lambda s=somebody: s.post("/v1/me/addresses", address(name="Raceme There")),
                lambda s=somebody: s.again().try_login(),
            ]
        )
        assert "raceme" not in everything(stack).lower()
        with stack.connect("users") as database:
            left = database.execute(
                "SELECT count(*) FROM sessions WHERE user_id = %s", (somebody.id,)
            )
            assert left.fetchone()[0] == 0


# ---- secrets ----


def test_no_secret_stands_in_the_database_or_the_logs(stack):
    """But for the tokens that are handed to the mailer by the outbox."""
    somebody = Person(stack, password="a very secret passphrase").register().login()
    somebody.refresh()
    somebody.post(
        "/v1/me/password",
        {"current_password": somebody.password, "password": "another secret passphrase"},
    )
    secrets = [
        "secret passphrase",
        somebody.tokens["refresh_token"].partition(".")[2],
        somebody.tokens["access_token"],
        somebody.tokens["access_token"].rpartition(".")[2],
    ]
    held = everything(stack) + "".join(each.log() for each in stack.processes.values())
    assert [each for each in secrets if each in held] == []
