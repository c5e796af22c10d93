"""The users service while PostgreSQL, a worker or time is missing."""

import concurrent.futures
import itertools
import json
import threading

import pytest
import requests
from support.accounts import (
    QUICK,
    UNTHROTTLED,
    Person,
    admin,
    eventually,
    metric,
    person,
    problem,
)
from support.stack import Servers


def test_without_postgresql_it_says_so_and_comes_back_by_itself(make_stack):
    with Servers(mongo=False) as own:
        own.mongodb_base = "mongodb://127.0.0.1:1/"
        stack = make_stack(own, catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED})
        somebody = person(stack)
        before = somebody.tokens
        own["postgres"].kill()
        for answer in (
            eventually(lambda: refused(somebody), "logins are refused")[0],
            somebody.post("/v1/users", {"email": "x@example.com", "password": "long enough"}),
            somebody.patch("/v1/me", {"name": "Later"}, headers={"Idempotency-Key": "k1"}),
            somebody.refresh(),
            somebody.get("/v1/me"),
        ):
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["Retry-After"]) >= 1
        assert Person(stack).get("/.well-known/jwks.json").status_code == 200, "from memory"
        eventually(
            lambda: refused_keys(stack), "a worker that hears of no change tells no keys", 60
        )
        own["postgres"].start().wait_ready()
        eventually(lambda: somebody.get("/v1/me").status_code == 200, "it is back", 60)
        answer = somebody.patch("/v1/me", {"name": "Later"}, headers={"Idempotency-Key": "k1"})
        assert answer.json()["name"] == "Later"
        somebody.tokens = before
        assert somebody.refresh().status_code == 200, "the token was not used up"
        stack.close()


def refused_keys(stack):
    """What the gateway says when the users service had no answer about keys."""
    lines = (json.loads(line) for line in stack["gateway"].log().splitlines())
    return [each for each in lines if each["event"] == "GW-AUTH-KEYS-FAILED"]


def refused(somebody):
    """A login that is answered 503, in a list, since a refusal counts as false."""
    answer = somebody.try_login()
    return [answer] if answer.status_code == 503 else []


def test_a_worker_starts_while_postgresql_is_away(make_stack):
    """It is not ready before it has its keys, and then it is."""
    with Servers(mongo=False) as own:
        own.mongodb_base = "mongodb://127.0.0.1:1/"
        stack = make_stack(own, catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED})
        somebody = person(stack)
        stack["users-1"].stop()
        own["postgres"].kill()
        stack["users-1"].start()
        answer = eventually(lambda: refused(somebody), "nobody serves it")[0]
        assert problem(answer)[1] in ("no_worker", "unavailable")
        own["postgres"].start().wait_ready()
        stack["users-1"].wait_ready()
        eventually(lambda: somebody.try_login().status_code == 200, "it serves", 60)
        stack.close()


def test_hashes_are_bounded_and_what_is_too_much_is_told(make_stack):
    """One hash at a time and nobody waits: of many logins at once some are answered overloaded, none wrong."""
    env = {
        **UNTHROTTLED,
        "SOUK_USERS_ARGON2_MEMORY_KIB": "65536",
        "SOUK_USERS_ARGON2_OPERATIONS": "4",
        "SOUK_USERS_HASHES_MAX": "1",
        "SOUK_USERS_HASH_WAIT_MS": "0",
    }
    stack = make_stack(catalog=0, diag=0, users=1, env=env)
    somebody = person(stack)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: somebody.again().try_login(), range(16)))
    assert {each.status_code for each in answers} == {200, 503}
    too_much = next(each for each in answers if each.status_code == 503)
    assert problem(too_much)[1] == "overloaded" and "Retry-After" in too_much.headers
    assert metric(stack, "souk_users_hashes_running") == 0


def test_another_secret_key_cannot_sign_and_says_so(make_stack):
    stack = make_stack(catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED})
    worker = stack["users-1"]
    worker.stop()
    was = worker.env["SOUK_USERS_SECRET_KEY"]
    worker.env["SOUK_USERS_SECRET_KEY"] = "ab" * 32
    worker.start()
    eventually(lambda: "US-KEY-UNREADABLE" in worker.log(), "it says so")
    answer = Person(stack).try_login()
    assert answer.status_code == 503, answer.text
    worker.stop()
    worker.env["SOUK_USERS_SECRET_KEY"] = was
    worker.start().wait_ready()
    somebody = person(stack)
    worker.stop()
    worker.env["SOUK_USERS_SECRET_KEY"] = "ab" * 32
    worker.start()
    eventually(lambda: worker.log().count("US-KEY-UNREADABLE") > 1, "it says so again")
    with stack.connect("users") as database:
        database.execute("DELETE FROM signing_keys")
    worker.wait_ready()
    assert somebody.refresh().status_code == 200, "sessions outlive the keys of their tokens"


@pytest.mark.parametrize("key", ["", "short", "zz" * 32, "ab" * 33])
def test_a_secret_key_that_is_none_is_refused_at_the_start(make_stack, key):
    stack = make_stack(catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED})
    worker = stack["users-1"]
    worker.stop()
    worker.env["SOUK_USERS_SECRET_KEY"] = key
    worker.start()
    worker.popen.wait(30)
    assert worker.popen.returncode != 0


KILLS = 6


def test_each_key_changes_a_profile_once_whatever_dies(make_stack):
    """Two workers are killed in turn while somebody's programs write; every write is repeated until it is answered."""
    stack = make_stack(catalog=0, diag=0, users=2, env={**QUICK, **UNTHROTTLED})
    somebody, stop, numbers = person(stack), threading.Event(), itertools.count(1)

    def write():
        done = []
        while not stop.is_set():
            number = next(numbers)
            headers = {"Idempotency-Key": f"profile-{number}"}
            body = {"name": f"Number {number}"}

            def answered(headers=headers, body=body):
                try:
                    answer = somebody.again_with_tokens().patch("/v1/me", body, headers=headers)
                except requests.ConnectionError:
                    return False
                assert (
                    answer.status_code == 200
                    or answer.status_code >= 500
                    or (answer.json()["code"] == "key_in_progress")
                ), answer.text
                return answer.status_code == 200

            eventually(answered, "an answer", 60)
            done.append(number)
        return done

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write) for _ in range(4)]
        for kill in range(KILLS):
            worker = stack[f"users-{kill % 2 + 1}"]
            seen = next(numbers)
            eventually(lambda seen=seen: next(numbers) > seen + 20, "writes go on", 60)
            worker.kill()
            worker.start().wait_ready()
        stop.set()
        written = [number for each in writers for number in each.result()]
    assert len(written) > KILLS
    assert somebody.get("/v1/me").json()["version"] == 1 + len(written)


def test_what_has_expired_goes(make_stack):
    """Sessions, tokens, buckets and API keys; gateways hear of the latter."""
    stack = make_stack(catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED})
    boss = admin(stack)
    made = boss.post("/v1/admin/api-keys", {"name": "short", "scopes": ["users:read"]}).json()
    program = Person(stack)
    program.tokens = {"access_token": made["secret"]}
    eventually(lambda: program.get("/v1/admin/users").status_code == 200, "it is known", 60)
    other = person(stack)
    with stack.connect("users") as database:
        for table, column, of in (
            ("sessions", "expires_at", "user_id"),
            ("one_time_tokens", "expires_at", "user_id"),
            ("known_addresses", "last_at", "user_id"),
        ):
            database.execute(
                f"UPDATE {table} SET {column} = now() - interval '200 days' WHERE {of} = %s",
                (other.id,),
            )
        database.execute("INSERT INTO throttle VALUES ('old', now() - interval '1 second')")
        database.execute(
            "UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = %s",
            (made["id"],),
        )

        def left():
            return database.execute(
                "SELECT (SELECT count(*) FROM sessions WHERE user_id = %(id)s)"
                " + (SELECT count(*) FROM one_time_tokens WHERE user_id = %(id)s)"
                " + (SELECT count(*) FROM known_addresses WHERE user_id = %(id)s)"
                " + (SELECT count(*) FROM throttle WHERE bucket = 'old')"
                " + (SELECT count(*) FROM api_keys WHERE revoked_at IS NULL)",
                {"id": other.id},
            ).fetchone()[0]

        assert left() > 0
        stack["users-1"].restart()  # a keeper's first round is soon after its start
        eventually(lambda: left() == 0, "all of it is gone", 90)
    eventually(lambda: program.get("/v1/admin/users").status_code == 401, "it is refused", 60)
    assert boss.get("/v1/me").status_code == 200, "what has not expired stays"
