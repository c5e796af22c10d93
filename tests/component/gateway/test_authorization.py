"""The authorization matrix at the gateway: every route x every kind of caller. What passes reaches the broker, with the right principal; the rest never does."""

import queue
import secrets

import pytest
from conftest import trust
from support import authz
from support.tokens import ApiKey, Issuer, guest_token, new_id

from broker import err, rep

GUEST_KEY = secrets.token_bytes(32)
ISSUER = Issuer()
EVERY_SCOPE = [each.name for each in authz.project().scopes]
STAFF, OTHER = new_id("usr_"), new_id("usr_")


def users():
    """One of each combination of roles that matters, and a customer of two roles."""
    rows = [(role.name, (role.name,)) for role in authz.project().roles]
    rows += [("nothing", ()), ("two roles", ("customer", "staff"))]
    for name, roles in rows:
        subject = new_id("usr_")
        yield authz.Caller(name, "user", ISSUER.token(subject, roles), subject, roles)


def api_keys():
    """One with each scope alone, one with all that have a name, one with the star, one with none."""
    rows = [(scope, (scope,)) for scope in EVERY_SCOPE]
    rows += [("key of all", tuple(EVERY_SCOPE)), ("key of *", ("*",)), ("key of none", ())]
    return [(name, ApiKey(scopes)) for name, scopes in rows]


KEYS = api_keys()
GUEST = new_id("gst_")
CALLERS = [
    authz.Caller("nobody", "nobody"),
    authz.Caller("guest", "guest", guest_token(GUEST_KEY, GUEST), GUEST),
    *users(),
    *(
        authz.Caller(name, "api_key", key.token, key.subject, scopes=tuple(key.scopes))
        for name, key in KEYS
    ),
    *(authz.Caller(name, "bad", token) for name, token in ISSUER.bad_tokens(OTHER).items()),
    authz.Caller("guest of another key", "bad", guest_token(secrets.token_bytes(32))),
    authz.Caller("guest that ended", "bad", guest_token(GUEST_KEY, expires=1)),
    authz.Caller("unknown API key", "bad", ApiKey(["*"]).token),
    authz.Caller(
        "API key with another's secret", "bad", f"souk_{KEYS[0][1].id}_{KEYS[1][1].secret}"
    ),
    authz.Caller("nonsense", "bad", "nonsense"),
]


@pytest.fixture
def gateway(start, broker):
    """Knows all of them; whatever passes is answered `not_found`."""
    source = broker.source[1]
    broker.answers[source] = rep(trust(ISSUER, api_keys=[key for _, key in KEYS]))
    broker.otherwise = err("not_found")
    return start(rate_per_address=0, rate_per_key=0, secrets={"SOUK_GUEST_KEYS": GUEST_KEY.hex()})


def send(client, route, caller):
    """One request of the matrix."""
    request = route.request()
    headers = request.headers | caller.headers()
    return client.request(request.verb, request.target, headers, request.body)


def passed(broker, route, caller):
    """Checks the request that the service got."""
    request = broker.take()
    assert (request.service, request.method) == (route.method.service, route.method.name)
    found = request.principal
    if found is not None and caller.kind == "user":
        assert found.pop("sid").startswith("ses_")
    assert found == authz.principal(route, caller)
    assert request.address == "127.0.0.1"


@pytest.mark.parametrize("caller", CALLERS, ids=lambda each: each.name)
def test_every_route(gateway, broker, caller):
    counts = {authz.PASS: 0, 401: 0, 403: 0}
    with gateway.client() as client:
        for route in authz.routes():
            answer = send(client, route, caller)
            expected = authz.outcome(route, caller)
            counts[expected] += 1
            what = f"{route} for {caller.name}: {answer.body!r}"
            if expected == authz.PASS:
                assert (answer.status, answer.problem()["code"]) == (404, "not_found"), what
                passed(broker, route, caller)
                continue
            assert answer.status == expected, what
            challenge = answer.headers.get("www-authenticate")
            if expected == 401:
                assert answer.problem()["code"] == "unauthenticated", what
                assert ('error="invalid_token"' in challenge) == (caller.kind == "bad"), what
            else:
                assert answer.problem()["code"] == "forbidden", what
                scoped = route.method.auth == "scope"
                assert (challenge or "") == (
                    'Bearer realm="souk", error="insufficient_scope"' if scoped else ""
                ), what
    with pytest.raises(queue.Empty):
        broker.take(0.01)
    assert sum(counts.values()) == len(authz.routes())


def test_the_matrix_is_about_something():
    """Each kind of auth has a route, and each outcome comes up for somebody."""
    assert {each.method.auth for each in authz.routes()} == {
        "none",
        "optional",
        "guest",
        "user",
        "scope",
    }
    found = {(authz.outcome(route, each)) for route in authz.routes() for each in CALLERS}
    assert found == {authz.PASS, 401, 403}
    assert len({each.kind for each in CALLERS}) == 5


def test_head_asks_for_what_get_asks(gateway):
    with gateway.client() as client:
        for route in authz.routes():
            if route.verb == "GET" and route.method.auth not in ("none", "optional"):
                assert client.request("HEAD", route.request().target).status == 401, route
