"""The users service while PostgreSQL, a worker or time is missing."""

import concurrent.futures

import pytest
from support.accounts import QUICK, UNTHROTTLED, Person, eventually, metric, person, problem
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
        own["postgres"].start().wait_ready()
        eventually(lambda: somebody.get("/v1/me").status_code == 200, "it is back", 60)
        answer = somebody.patch("/v1/me", {"name": "Later"}, headers={"Idempotency-Key": "k1"})
        assert answer.json()["name"] == "Later"
        somebody.tokens = before
        assert somebody.refresh().status_code == 200, "the token was not used up"
        stack.close()


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
    person(stack)


@pytest.mark.parametrize("key", ["", "short", "zz" * 32, "ab" * 33])
def test_a_secret_key_that_is_none_is_refused_at_the_start(make_stack, key):
    stack = make_stack(catalog=0, diag=0, users=1, env={**QUICK, **UNTHROTTLED})
    worker = stack["users-1"]
    worker.stop()
    worker.env["SOUK_USERS_SECRET_KEY"] = key
    worker.start()
    worker.popen.wait(30)
    assert worker.popen.returncode != 0
