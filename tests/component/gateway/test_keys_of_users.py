"""Keys that come over the bus: asking, rotation, revoking, silence, and what a request sees of it."""

import time
from datetime import UTC, datetime

import pytest
from conftest import trust, wait
from support.tokens import ApiKey, Issuer, new_id

from broker import err, rep

UNCHANGED = {"revision": 1, "unchanged": True}


class Shop:
    """A gateway that asks often, and a route for users of the catalogue."""

    target = "/v1/admin/products/x"

    def __init__(self, start, broker, poll_ms=50, **flags):
        self.broker = broker
        self.source = broker.source[1]
        broker.answers["admin_products_get"] = rep({"version": 1})
        self.gateway = start(auth_poll_ms=poll_ms, **flags)

    def tell(self, *issuers, **more):
        """The source answers so from now on."""
        self.broker.answers[self.source] = rep(trust(*issuers, **more))

    def answer(self, make):
        """Any answer; None: silence."""
        self.broker.answers[self.source] = make

    def get(self, token):
        """One request."""
        return self.gateway.get(self.target, Authorization=f"Bearer {token}")

    def status(self, token):
        """Of one request."""
        return self.get(token).status

    def ready(self):
        """What /readyz says."""
        return self.gateway.get("/readyz").json()["status"]


@pytest.fixture
def shop(start, broker):
    """With the default."""
    return Shop(start, broker)


def staff(issuer, **more):
    """A token that may read drafts."""
    return issuer.token(new_id("usr_"), ("staff",), **more)


def test_it_asks_for_what_is_new(shop):
    first = shop.broker.questions.get(timeout=5)
    assert first.body == {} and first.principal is None and first.key is None
    wait(lambda: shop.broker.questions.get(timeout=5).body == {"since": 1}, "a second question")
    shop.tell(revision=7)
    shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=7, keys=0, api_keys=0)
    wait(lambda: shop.broker.questions.get(timeout=5).body == {"since": 7}, "the next revision")
    assert shop.ready() == "ready"
    assert shop.gateway.metric("souk_gateway_keys_age_seconds") in (0, 1)


def test_keys_rotate(shop):
    old, new = Issuer("2026-10"), Issuer("2026-11")
    shop.tell(old, revision=2)
    shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=2)
    before = staff(old)
    assert (shop.status(before), shop.status(staff(new))) == (200, 401)
    shop.tell(old, new, revision=3)
    shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=3, keys=2)
    assert (shop.status(before), shop.status(staff(new))) == (200, 200)
    shop.tell(new, revision=4)
    shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=4, keys=1)
    assert (shop.status(before), shop.status(staff(new))) == (401, 200), "cached or not"


def test_an_unknown_key_makes_it_ask_at_once(start, broker):
    broker.answers[broker.source[1]] = rep(trust(Issuer("old")))
    shop = Shop(start, broker, poll_ms=20000)
    issuer = Issuer()
    shop.tell(issuer, revision=2)
    token = staff(issuer)
    began = time.monotonic()
    assert shop.status(token) == 401
    shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=2)
    assert shop.status(token) == 200
    assert time.monotonic() - began < 10, "long before it was time"


def test_unknown_keys_do_not_make_it_ask_more_than_once_a_second(start, broker):
    broker.answers[broker.source[1]] = rep(trust(Issuer("old")))
    shop = Shop(start, broker, poll_ms=20000, rate_per_address=0)
    shop.answer(rep(UNCHANGED))
    wait(lambda: shop.broker.questions.get(timeout=5), "the first question")
    token, began, asked = staff(Issuer("x")), time.monotonic(), 0
    while time.monotonic() - began < 2.5:
        assert shop.status(token) == 401
        while not shop.broker.questions.empty():
            shop.broker.questions.get()
            asked += 1
    assert 1 <= asked <= 3


def test_a_revoked_api_key_ends(shop):
    key, other = ApiKey(["catalog:read"]), ApiKey(["catalog:read"])
    shop.tell(revision=2, api_keys=[key, other])
    shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=2, api_keys=2)
    assert shop.status(key.token) == 200
    request = shop.broker.take()
    assert request.principal == {
        "sub": key.subject,
        "kind": "api_key",
        "scopes": ["catalog:read"],
    }
    shop.tell(revision=3, api_keys=[other])
    shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=3)
    assert (shop.status(key.token), shop.status(other.token)) == (401, 200)


def test_a_worker_that_lags_behind_brings_no_revoked_key_back(shop):
    """One of two sources is cut off from its database and tells what was true before."""
    key = ApiKey(["catalog:read"])
    behind, ahead = trust(revision=2, api_keys=[key]), trust(revision=3)
    shop.answer(rep(behind))
    shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=2)
    assert shop.status(key.token) == 200
    shop.answer(rep(ahead))
    shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=3)
    assert shop.status(key.token) == 401
    shop.answer(rep(behind))
    told = shop.gateway.wait_event("GW-AUTH-KEYS-OLD")
    assert (told["revision"], told["answered"]) == (3, 2)
    assert shop.status(key.token) == 401, "it has not come back"
    shop.answer(rep({"revision": 3, "unchanged": True}))
    shop.gateway.wait_event("GW-AUTH-KEYS-BACK", revision=3)
    loads = [each for each in shop.gateway.events if each["event"] == "GW-AUTH-KEYS-LOADED"]
    assert [each["revision"] for each in loads] == [1, 2, 3]


def test_a_database_that_was_put_back_counts_once_the_newer_set_is_stale(start, broker):
    key = ApiKey(["catalog:read"])
    broker.answers[broker.source[1]] = rep(trust(revision=9))
    shop = Shop(start, broker, auth_stale_s=2)
    shop.tell(revision=4, api_keys=[key])
    shop.gateway.wait_event("GW-AUTH-KEYS-OLD", revision=9, answered=4)
    shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=4)
    assert shop.status(key.token) == 200


def test_an_api_key_ends_on_the_clock(shop):
    ends = time.time() + 3
    key, ended, lasting = (ApiKey(["catalog:read"]) for _ in range(3))
    rows = [
        key.row() | {"expires_at": datetime.fromtimestamp(ends, UTC)},
        ended.row() | {"expires_at": datetime.fromtimestamp(ends - 3600, UTC)},
        lasting.row() | {"expires_at": None},
    ]
    shop.answer(rep(trust(revision=2) | {"api_keys": rows}))
    shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=2, api_keys=3, skipped=0)
    shop.answer(rep({"revision": 2, "unchanged": True}))
    assert [shop.status(each.token) for each in (key, ended, lasting)] == [200, 401, 200]
    wait(lambda: shop.status(key.token) == 401, "it has ended")
    assert ends - 1 <= time.time() < ends + 2
    assert shop.status(lasting.token) == 200
    shop.answer(rep(trust(revision=3) | {"api_keys": [key.row() | {"expires_at": "soon"}]}))
    shop.gateway.wait_event("GW-AUTH-KEYS-FAILED", code="bad_reply")
    assert shop.status(lasting.token) == 200, "what cannot be read changes nothing"


def test_a_key_that_is_revoked_while_the_body_comes(shop):
    key = ApiKey(["catalog:write"])
    shop.tell(revision=2, api_keys=[key])
    shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=2)
    body = b'{"slug":"a","name":"A","variants":[{"sku":"S","price":{"amount":1,"currency":"EUR"}}]}'
    head = (
        f"POST /v1/admin/products HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with shop.gateway.client() as client:
        client.send(head.encode() + body[:20])
        shop.tell(revision=3)
        shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=3)
        client.send(body[20:])
        assert client.read().status == 401
    assert shop.broker.requests.empty()


def test_4096_api_keys(start, broker):
    keys = [ApiKey(["catalog:read"]) for _ in range(4096)]
    broker.answers[broker.source[1]] = rep(trust(revision=2, api_keys=keys))
    shop = Shop(start, broker, rate_per_address=0)
    loaded = shop.gateway.wait_event("GW-AUTH-KEYS-LOADED")
    assert (loaded["api_keys"], loaded["skipped"]) == (4096, 0)
    with shop.gateway.client() as client:
        for key in (keys[0], keys[2047], keys[4095], *keys[::97]):
            answer = client.get(shop.target, Authorization=f"Bearer {key.token}")
            assert answer.status == 200
            mixed = f"souk_{key.id}_{keys[1].secret}"
            assert client.get(shop.target, Authorization=f"Bearer {mixed}").status == 401
    more = [*keys, ApiKey(["*"])]
    broker.answers[broker.source[1]] = rep(trust(revision=3, api_keys=more))
    event = shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=3)
    assert (event["level"], event["api_keys"], event["skipped"]) == ("warn", 4096, 1)


def test_silence_leaves_the_last_keys_in_force_for_a_while(start, broker):
    issuer = Issuer()
    broker.answers[broker.source[1]] = rep(trust(issuer, revision=2))
    shop = Shop(start, broker, auth_stale_s=2)
    token = staff(issuer)
    shop.answer(err("unavailable"))
    shop.gateway.wait_event("GW-AUTH-KEYS-FAILED", code="unavailable")
    assert shop.status(token) == 200
    shop.gateway.wait_event("GW-AUTH-KEYS-STALE")
    answer = shop.get(token)
    assert (answer.status, answer.problem()["code"]) == (503, "keys_unavailable")
    assert answer.headers["retry-after"] == "1"
    assert shop.get(ApiKey(["*"]).token).status == 503
    assert shop.ready() == "degraded"
    assert shop.gateway.metric("souk_gateway_keys_age_seconds") >= 2
    shop.answer(rep({"revision": 2, "unchanged": True}))
    shop.gateway.wait_event("GW-AUTH-KEYS-BACK")
    wait(lambda: shop.status(token) == 200, "the keys count again")
    wait(lambda: shop.ready() == "ready", "health")


def test_before_the_first_answer(start, broker, tmp_path):
    broker.answers[broker.source[1]] = None
    shop = Shop(start, broker)
    shop.gateway.wait_event("GW-BROKER-CONNECTED")
    assert shop.ready() == "degraded"
    assert shop.gateway.metric("souk_gateway_keys_age_seconds") == -1
    issuer = Issuer()
    assert shop.get(staff(issuer)).problem()["code"] == "keys_unavailable"
    assert shop.status("nonsense") == 401
    broker.answers["fixed"] = rep({"items": []})
    assert shop.gateway.get("/v1/diag/fixed").status == 200, "what is for anybody goes on"
    shop.tell(issuer)
    for _ in range(broker.questions.qsize()):
        broker.answer(broker.questions.get(), rep(trust(issuer)))
    shop.gateway.wait_event("GW-AUTH-KEYS-LOADED")
    assert shop.status(staff(issuer)) == 200
    wait(lambda: shop.ready() == "ready", "health")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"revision": "x"},
        {"revision": 9, "keys": [1]},
        {"revision": 9, "keys": [], "api_keys": [{"id": 1}]},
        b"\x81",
        b"\xc0",
        b"",
    ],
)
def test_an_answer_that_cannot_be_read_changes_nothing(shop, body):
    issuer = Issuer()
    shop.tell(issuer, revision=2)
    shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=2)
    shop.answer(rep(body))
    shop.gateway.wait_event("GW-AUTH-KEYS-FAILED", code="bad_reply")
    assert shop.status(staff(issuer)) == 200


def test_all_threads_learn_of_it(start, broker):
    shop = Shop(start, broker, threads=3)
    issuer = Issuer()
    token = staff(issuer)
    shop.tell(issuer, revision=2)
    shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=2)
    assert [shop.status(token) for _ in range(24)] == [200] * 24
    shop.tell(revision=3)
    shop.gateway.wait_event("GW-AUTH-KEYS-LOADED", revision=3)
    assert [shop.status(token) for _ in range(24)] == [401] * 24


def test_time_and_the_clock(start, broker):
    issuer = Issuer()
    broker.answers[broker.source[1]] = rep(trust(issuer, revision=2))
    shop = Shop(start, broker, clock_skew_s=30)
    now = time.time()
    assert shop.status(staff(issuer, now=now - 600 - 20)) == 200, "expired within the skew"
    assert shop.status(staff(issuer, now=now - 600 - 40)) == 401
    assert shop.status(staff(issuer, now=now + 20)) == 200, "from the future within the skew"
    assert shop.status(staff(issuer, now=now + 40)) == 401
    assert shop.status(staff(issuer, nbf=int(now) + 40)) == 401
    ending = staff(issuer, now=now - 600 - 28)
    assert shop.status(ending) == 200
    wait(lambda: shop.status(ending) == 401, "a cached token ends by itself")
    challenge = shop.get(ending).headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="souk", error="invalid_token"')


def test_the_cache_keeps_its_bound(start, broker):
    issuer = Issuer()
    broker.answers[broker.source[1]] = rep(trust(issuer, revision=2))
    shop = Shop(start, broker, token_cache=8, rate_per_address=0)
    tokens = [staff(issuer) for _ in range(100)]
    with shop.gateway.client() as client:
        for _ in range(2):
            for token in tokens:
                assert client.get(shop.target, Authorization=f"Bearer {token}").status == 200
    assert shop.gateway.metric('souk_gateway_auth_total{kind="user",outcome="good"}') == 200


def test_limits_count_by_who_asks(start, broker):
    issuer = Issuer()
    key = ApiKey(["catalog:read"])
    broker.answers[broker.source[1]] = rep(trust(issuer, revision=2, api_keys=[key]))
    shop = Shop(start, broker, rate_per_key=1, rate_burst_s=3, rate_per_address=0)
    busy, quiet = staff(issuer), staff(issuer)
    statuses = [shop.status(busy) for _ in range(5)]
    assert statuses[:3] == [200] * 3 and 429 in statuses[3:]
    assert shop.status(quiet) == 200, "another user"
    assert shop.status(key.token) == 200
    assert shop.gateway.metric('souk_gateway_rate_limited_total{by="user"}') >= 1


def test_the_address_that_proxies_tell(start, broker):
    broker.answers["fixed"] = rep({"items": []})
    told = {"X-Forwarded-For": "6.6.6.6, 2001:DB8::7, 10.0.0.1"}
    for hops, expected in ((0, "127.0.0.1"), (1, "10.0.0.1"), (2, "2001:db8::7")):
        gateway = start(forwarded_hops=hops)
        with gateway.client() as client:
            assert client.request("GET", "/v1/diag/fixed", told).status == 200
            assert broker.take().address == expected
            assert client.request("GET", "/v1/diag/fixed").status == 200
            assert broker.take().address == "127.0.0.1"


def test_limits_count_by_the_address_that_proxies_tell(start, broker):
    broker.answers["fixed"] = rep({"items": []})
    gateway = start(forwarded_hops=1, rate_per_address=1, rate_burst_s=2)

    def statuses(address):
        told = {"X-Forwarded-For": f"1.1.1.1, {address}"}
        with gateway.client() as client:
            return [client.request("GET", "/v1/diag/fixed", told).status for _ in range(3)]

    assert statuses("10.0.0.1") == [200, 200, 429]
    assert statuses("10.0.0.2") == [200, 200, 429]
