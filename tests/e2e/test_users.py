"""Accounts from outside: registration, logins, sessions, passwords, mail tokens, erasure."""

from functools import partial

import pytest
from support.accounts import (
    PASSWORD,
    QUICK,
    UNTHROTTLED,
    Person,
    eventually,
    in_parallel,
    metric,
    person,
    problem,
)
from support.stack import Stack

GONE = (401, "unauthenticated")


@pytest.fixture(scope="module")
def stack(servers):
    """Two users workers and nothing else."""
    with Stack(servers, catalog=0, diag=0, users=2, env={**QUICK, **UNTHROTTLED}) as started:
        yield started


# ---- registration and login ----


@pytest.mark.smoke
def test_somebody_registers_logs_in_and_reads_the_account(stack):
    ada = Person(stack, "Ada.Lovelace@Example.com")
    answer = ada.post(
        "/v1/users", {"email": ada.email, "password": ada.password, "name": " Ada  Lovelace "}
    )
    assert (answer.status_code, answer.json()) == (202, {"email": "Ada.Lovelace@example.com"})
    tokens = ada.login(device="Test on Linux").tokens
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 600)
    assert (tokens["roles"], tokens["withheld_roles"]) == (["customer"], [])
    me = ada.get("/v1/me")
    assert me.status_code == 200, me.text
    assert (
        me.json()
        | {
            "id": tokens["user_id"],
            "email": "Ada.Lovelace@example.com",
            "email_verified": False,
            "name": "Ada  Lovelace",
            "roles": ["customer"],
            "second_factor": False,
            "recovery_codes_left": 0,
        }
        == me.json()
    )
    assert me.headers["ETag"] == '"1"'


@pytest.mark.parametrize(
    ("registered", "typed"),
    [
        ("upper-case@example.com", "UPPER-CASE@EXAMPLE.COM"),
        ("ren\u00e9e@b\u00fccher.example", "RENE\u0301E@BU\u0308CHER.EXAMPLE"),
        ("stra\u00dfe@example.org", "STRASSE@example.org"),
        ("\u7528\u6237@\u4f8b\u5b50.\u6d4b\u8bd5", "\u7528\u6237@\u4f8b\u5b50.\u6d4b\u8bd5"),
        ("  spaces@example.com ", "spaces@example.com"),
    ],
)
def test_an_address_is_the_same_in_any_case_and_form(stack, registered, typed):
    Person(stack, registered).register()
    Person(stack, typed).login()


def test_a_password_is_the_same_in_any_unicode_form(stack):
    somebody = Person(stack, password="cre\u0301me br\u00fble\u0301e").register()
    somebody.password = "cr\u00e9me bru\u0302l\u00e9e"
    somebody.login()


def test_a_registered_address_is_not_told_to_strangers(stack):
    owner = person(stack)
    stranger = Person(stack, owner.email.upper(), password="another password")
    fresh = Person(stack, password="another password")
    before = metric(stack, "souk_users_hashes_total")
    known = stranger.post(
        "/v1/users", {"email": stranger.email, "password": stranger.password, "name": "Mallory"}
    )
    between = metric(stack, "souk_users_hashes_total")
    unknown = fresh.post(
        "/v1/users", {"email": fresh.email, "password": fresh.password, "name": "Mallory"}
    )
    after = metric(stack, "souk_users_hashes_total")
    assert known.status_code == unknown.status_code == 202
    assert set(known.json()) == set(unknown.json()) == {"email"}
    assert between - before == after - between == 1
    assert problem(stranger.try_login()) == (401, "credentials_wrong")
    assert owner.login().get("/v1/me").json()["name"] is None
    kinds = [kind for kind, _ in owner.mails()]
    assert kinds == ["user.registered", "user.register_attempted"]
    assert "token" not in owner.mails()[-1][1]


def test_one_address_registered_by_many_at_once_is_one_account(stack):
    many = [Person(stack, "crowd@example.com", password=f"password number {n}") for n in range(8)]
    in_parallel([each.register for each in many])
    assert sorted(each.try_login().status_code for each in many) == [200] + [401] * 7


def test_a_wrong_password_and_an_unknown_address_are_answered_alike(stack):
    somebody = person(stack)
    answers, hashes = [], []
    for email, password in [
        (somebody.email, "not the password"),
        ("nobody-at-all@example.com", PASSWORD),
        ("not an address", PASSWORD),
    ]:
        before = metric(stack, "souk_users_hashes_total")
        answer = Person(stack, email, password).try_login()
        hashes.append(metric(stack, "souk_users_hashes_total") - before)
        assert problem(answer) == (401, "credentials_wrong")
        same = {k: v for k, v in answer.json().items() if k not in ("request_id", "trace_id")}
        answers.append((same, sorted(answer.headers)))
    assert hashes == [1, 1, 1]
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"email": "no-at.example.com"}, "/email"),
        ({"email": "a@b"}, "/email"),
        ({"email": "a@@example.com"}, "/email"),
        ({"email": "a b@example.com"}, "/email"),
        ({"email": "a@example.com\nBcc: b@example.com"}, "/email"),
        ({"email": "a\u200bb@example.com"}, "/email"),
        ({"email": "x" * 65 + "@example.com"}, "/email"),
        ({"email": "x" * 255}, "/email"),
        ({"email": ""}, "/email"),
        ({"email": None}, "/email"),
        ({"password": "seven77"}, "/password"),
        ({"password": "x" * 129}, "/password"),
        ({"password": "aaaaaaaaaa"}, "/password"),
        ({"password": "Password123"}, "/password"),
        ({"password": "Table-Test"}, "/password"),
        ({"password": 12345678}, "/password"),
        ({"name": ""}, "/name"),
        ({"name": "   "}, "/name"),
        ({"name": "a\u0000b"}, None),
        ({"name": "a\nb"}, "/name"),
        ({"name": "right\u202eleft"}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"locale": "x"}, "/locale"),
        ({"locale": "en GB"}, "/locale"),
        ({"roles": ["admin"]}, "/roles"),
        ({"id": "usr_01JD3YV4M8Q6T0R7ZK5N2X9W1B"}, "/id"),
    ],
)
def test_a_bad_registration_names_the_field(stack, fields, pointer):
    body = {"email": "table-test@example.com", "password": PASSWORD, **fields}
    answer = Person(stack).post("/v1/users", body)
    if pointer is None:
        assert problem(answer) == (400, "malformed")
    else:
        assert problem(answer) == (422, "validation"), answer.text
        assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    assert Person(stack, "table-test@example.com").try_login().status_code == 401


@pytest.mark.parametrize(
    "name",
    [
        "\u017bo\u0142\u0105d\u017a",
        "\u674e\u5c0f\u9f99",
        "\u0645\u062d\u0645\u062f",
        "O\u2019Brien \U0001f600",
        "x" * 200,
    ],
)
def test_names_are_kept_as_people_write_them(stack, name):
    assert person(stack).patch("/v1/me", {"name": name}).json()["name"] == name


def test_a_hash_of_other_parameters_is_made_anew_at_login(stack):
    somebody = person(stack)

    def parameters():
        with stack.connect("users") as database:
            row = database.execute("SELECT password_hash FROM users WHERE id = %s", (somebody.id,))
            return row.fetchone()[0].split("$")[3]

    was = parameters()
    assert was == "m=1024,t=1,p=1"
    workers = [stack["users-1"], stack["users-2"]]
    for each in workers:
        each.env["SOUK_USERS_ARGON2_OPERATIONS"] = "2"
        each.restart()
    try:
        somebody.login()
        assert parameters() == "m=1024,t=2,p=1"
        before = metric(stack, "souk_users_hashes_total")
        somebody.login()
        assert metric(stack, "souk_users_hashes_total") - before == 1
    finally:
        for each in workers:
            each.env["SOUK_USERS_ARGON2_OPERATIONS"] = "1"
            each.restart()


# ---- sessions ----


def age_exchange(stack, somebody, seconds):
    """The last exchange of this session was so long ago."""
    with stack.connect("users") as database:
        database.execute(
            "UPDATE sessions SET rotated_at = rotated_at - make_interval(secs => %s) WHERE id = %s",
            (seconds, somebody.tokens["session_id"]),
        )


def test_a_refresh_token_is_good_once(stack):
    somebody = person(stack)
    first = somebody.tokens
    assert somebody.refresh().status_code == 200
    assert somebody.tokens["session_id"] == first["session_id"]
    assert somebody.tokens["refresh_token"] != first["refresh_token"]
    assert somebody.get("/v1/me").status_code == 200
    assert problem(somebody.refresh(first["refresh_token"])) == (409, "refresh_raced")
    assert somebody.refresh().status_code == 200, "a race ends nothing"


def test_a_former_token_ends_the_session_and_leaves_a_trace(stack):
    somebody, other = person(stack), None
    other = somebody.again().login()
    stolen = somebody.tokens["refresh_token"]
    assert somebody.refresh().status_code == 200
    age_exchange(stack, somebody, 11)
    reused = metric(stack, "souk_users_refreshes_total", outcome="reused")
    assert problem(somebody.refresh(stolen)) == GONE
    assert metric(stack, "souk_users_refreshes_total", outcome="reused") == reused + 1
    assert problem(somebody.refresh()) == GONE, "the whole family has ended"
    assert problem(somebody.get("/v1/me")) == GONE
    assert other.refresh().status_code == 200, "other sessions go on"
    with stack.connect("users") as database:
        row = database.execute(
            "SELECT action, before->>'session' FROM audit WHERE target = %s", (somebody.id,)
        ).fetchall()
    assert row == [("session.token_reused", somebody.tokens["session_id"])]
    logs = "".join(stack[f"users-{n}"].log() for n in (1, 2))
    assert "US-TOKEN-REUSED" in logs and stolen not in logs


def test_a_token_from_further_back_ends_the_session_within_the_grace_too(stack):
    somebody = person(stack)
    first = somebody.tokens["refresh_token"]
    assert somebody.refresh().status_code == 200
    assert somebody.refresh().status_code == 200
    assert problem(somebody.refresh(first)) == GONE
    assert problem(somebody.refresh()) == GONE


def test_of_many_exchanges_of_one_token_one_wins(stack):
    for _ in range(3):
        somebody = person(stack)
        token = somebody.tokens["refresh_token"]
        twins = [somebody.again() for _ in range(8)]
        answers = in_parallel([partial(each.refresh, token) for each in twins])
        assert sorted(each.status_code for each in answers) == [200] + [409] * 7
        winner = next(each for each in twins if each.tokens)
        assert winner.refresh().status_code == 200


def test_forged_and_foreign_refresh_tokens_end_nothing(stack):
    somebody, other = person(stack), person(stack)
    token, foreign = somebody.tokens["refresh_token"], other.tokens["refresh_token"]
    head = token.partition(".")[0]
    for bad in (
        "",
        "x",
        token[:-1],
        token + "A",
        head + "." + "A" * 64,
        head + foreign[len(head) :],
    ):
        answer = somebody.post("/v1/auth/refresh", {"refresh_token": bad})
        assert answer.status_code in ((401,) if bad else (422,)), answer.text
    assert somebody.refresh().status_code == 200
    assert other.refresh().status_code == 200


def test_an_expired_session_is_over(stack):
    somebody = person(stack)
    with stack.connect("users") as database:
        database.execute(
            "UPDATE sessions SET expires_at = now() WHERE id = %s", (somebody.tokens["session_id"],)
        )
    assert problem(somebody.refresh()) == GONE
    assert problem(somebody.get("/v1/me")) == GONE


def test_logging_out_ends_the_session_at_once(stack):
    here = person(stack)
    there = here.again().login()
    assert here.post("/v1/auth/logout").status_code == 204
    assert problem(here.refresh()) == GONE
    assert problem(here.get("/v1/me")) == GONE
    assert there.get("/v1/me").status_code == 200
    assert there.post("/v1/auth/logout-all").status_code == 204
    assert problem(there.refresh()) == GONE


def test_sessions_are_listed_and_ended_one_by_one(stack):
    here = person(stack)
    there = here.again().login(device="Phone")
    listed = here.get("/v1/me/sessions").json()["data"]
    assert [(each["device"], each["current"]) for each in listed] == [
        ("Phone", False),
        (None, True),
    ]
    assert {each["address"] for each in listed} == {"127.0.0.1"}
    path = f"/v1/me/sessions/{there.tokens['session_id']}"
    assert problem(person(stack).delete(path)) == (404, "not_found")
    assert here.delete(path).status_code == 204
    assert problem(here.delete(path)) == (404, "not_found")
    assert problem(there.get("/v1/me")) == GONE


def test_a_user_has_a_bounded_number_of_sessions(stack):
    somebody = person(stack)
    first = somebody.tokens
    for _ in range(20):
        somebody.login()
    assert len(somebody.get("/v1/me/sessions").json()["data"]) == 20
    assert problem(somebody.again().refresh(first["refresh_token"])) == GONE


# ---- keys ----


def test_the_keys_of_tokens_are_public(stack):
    answer = Person(stack).get("/.well-known/jwks.json")
    assert answer.status_code == 200
    keys = answer.json()["keys"]
    assert len(keys) == 2, "the one that signs and the next one"
    assert all(set(each) == {"kty", "crv", "alg", "use", "kid", "x", "y"} for each in keys)


def test_a_worker_follows_a_change_of_keys(stack):
    def worker_kids(n):
        return stack[f"users-{n}"].log().count("US-KEYS-LOADED")

    before = [worker_kids(1), worker_kids(2)]
    with stack.connect("users") as database:
        database.execute("UPDATE auth_revision SET revision = revision + 1")
    eventually(
        lambda: worker_kids(1) > before[0] and worker_kids(2) > before[1],
        "both workers have read the keys again",
    )
