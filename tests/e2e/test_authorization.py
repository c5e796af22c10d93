"""The authorization matrix against the real stack: every route of the schemas x whoever may send a request, and what belongs to another customer is 404."""

import base64
import json
import uuid

import pytest
import requests
from support import authz
from support.accounts import QUICK, UNTHROTTLED, admin, give_roles, person
from support.stack import Stack, wait_for
from support.tokens import Issuer

TIMEOUT_S = 40
ENV = {
    **QUICK,
    **UNTHROTTLED,
    "SOUK_GATEWAY_AUTH_POLL_MS": "100",
    "SOUK_ORDERS_FOLLOW_MS": "50",
    "SOUK_GATEWAY_RATE_PER_ADDRESS": "0",
    "SOUK_GATEWAY_RATE_PER_KEY": "0",
}
# A scope that no route of the matrix asks for by itself.
NO_RIGHTS = "audit:read"


@pytest.fixture(scope="module")
def stack(servers):
    with Stack(servers, catalog=1, orders=1, users=1, env=ENV) as started:
        started.seed()
        yield started


@pytest.fixture(scope="module")
def issuer(stack):
    """A signing key of ours, among the keys of the users service: its tokens are good until they are spoilt."""
    made = Issuer("matrix")
    point = {name: made.jwk()[name] for name in ("x", "y")}
    with stack.connect("users") as database:
        database.execute(
            "INSERT INTO signing_keys (kid, state, x, y, sealed, retired_at) VALUES (%s, 'retired', %s, %s, '', now())",
            (made.kid, *(base64.urlsafe_b64decode(each + "=") for each in point.values())),
        )
    return made


def session(somebody):
    """The session that an access token names."""
    claims = somebody.tokens["access_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + "=="))["sid"]


class People:
    """One of each, logged in as people are."""

    def __init__(self, stack, issuer):
        self.stack = stack
        self.owner, self.other = person(stack), person(stack)
        self.staff = self.with_role("staff")
        self.boss = admin(stack)
        self.guest, self.other_guest = self.new_guest(), self.new_guest()
        self.key = self.make_key([NO_RIGHTS])
        wait_for(
            lambda: (
                self.ask(issuer.token(self.owner.id, sid=session(self.owner))).status_code == 200
            ),
            what="the gateway knows the key of the tests",
        )
        wait_for(lambda: self.ask(self.key).status_code == 403, what="it knows the API key")

    def with_role(self, role):
        somebody = person(self.stack)
        give_roles(self.stack, somebody.id, [role])
        return somebody.login()

    def new_guest(self):
        answer = requests.post(f"{self.stack.url}/v1/guests", timeout=TIMEOUT_S)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def make_key(self, scopes):
        answer = self.boss.post("/v1/admin/api-keys", {"name": "matrix", "scopes": scopes})
        assert answer.status_code == 201, answer.text
        return next(each for each in answer.json().values() if str(each).startswith("souk_"))

    def ask(self, token):
        return requests.get(
            f"{self.stack.url}/v1/me",
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_S,
        )


@pytest.fixture(scope="module")
def people(stack, issuer):
    return People(stack, issuer)


@pytest.fixture(scope="module")
def callers(people, issuer):
    """By name."""

    def user(name, somebody, *roles):
        token = somebody.tokens["access_token"]
        return authz.Caller(name, "user", token, somebody.id, roles)

    def guest(name, made):
        return authz.Caller(name, "guest", made["guest_token"], made["subject"])

    found = [
        authz.Caller("no token", "nobody"),
        guest("guest", people.guest),
        guest("other guest", people.other_guest),
        user("customer", people.owner, "customer"),
        user("other customer", people.other, "customer"),
        user("staff", people.staff, "staff"),
        user("admin", people.boss, "admin"),
        authz.Caller("API key without the scope", "api_key", people.key, scopes=(NO_RIGHTS,)),
        authz.Caller("API key with all", "api_key", people.stack.api_key, scopes=("*",)),
    ]
    bad = issuer.bad_tokens(people.boss.id)
    found += [authz.Caller(name, "bad", bad[name]) for name in ("expired", "wrong key", "alg none")]
    return {each.name: each for each in found}


def send(stack, route, caller, **options):
    request = route.request(key=uuid.uuid4().hex, **options)
    return requests.request(
        request.verb,
        stack.url + request.target,
        headers=request.headers | caller.headers(),
        json=request.body,
        timeout=TIMEOUT_S,
    )


# ---- what belongs to somebody else ----

# Routes that belong to whoever made the resource, by their path up to its id.
OWNED = {
    "/v1/carts/{cart_id}": "cart",
    "/v1/carts/{id}": "cart",
    "/v1/orders/{id}": "order",
    "/v1/me/sessions/{id}": "session",
    "/v1/me/addresses/{id}": "address",
}


def owned_routes():
    """(route, what its first parameter names) of all that customers and guests use by an id."""
    for route in authz.routes():
        if route.method.auth in ("guest", "user", "optional") and route.parameters():
            yield route, OWNED.get(route.path.partition("}")[0] + "}")


def test_every_route_with_an_id_is_somebodys():
    unknown = [str(route) for route, what in owned_routes() if what is None]
    assert not unknown, f"say in OWNED whose these are: {unknown}"
    assert set(OWNED.values()) == {what for _, what in owned_routes()}


class Belongings:
    """A cart, an order, an address and a session of a customer; a cart and an order of a guest."""

    def __init__(self, stack, caller):
        self.stack, self.caller = stack, caller
        self.sku = self.ask("GET", "/v1/admin/stock", admin=True)["data"][0]["sku"]
        self.ids = {"cart": self.make_cart(), "order": self.place()}
        if caller.kind == "user":
            self.ids["address"] = self.ask("POST", "/v1/me/addresses", self.address())["id"]
            self.ids["session"] = self.ask("GET", "/v1/me/sessions")["data"][0]["id"]

    def ask(self, verb, path, body=None, admin=False):
        answer = requests.request(
            verb,
            self.stack.url + path,
            headers={"Idempotency-Key": uuid.uuid4().hex}
            | (self.stack.admin if admin else self.caller.headers()),
            json=body,
            timeout=TIMEOUT_S,
        )
        assert answer.status_code < 300, f"{verb} {path}: {answer.text}"
        return answer.json()

    def address(self):
        """That of the schema's example."""
        method = next(each for each in authz.routes() if str(each) == "POST /v1/me/addresses")
        return method.request().body

    def make_cart(self):
        items = {"items": [{"sku": self.sku, "quantity": 1}]}
        return self.ask("POST", "/v1/carts", items)["id"]

    def place(self):
        """What a cart with one line costs is what the order costs."""
        cart = self.make_cart()
        place = next(each for each in authz.routes() if str(each) == "POST /v1/orders")
        address = place.request().body["shipping_address"] | {"country": "DE"}
        chosen = {
            "email": "a@example.com",
            "shipping_address": address,
            "shipping_method": "standard",
        }
        headers = self.caller.headers() | {"If-Match": "*"}
        changed = requests.patch(
            f"{self.stack.url}/v1/carts/{cart}", json=chosen, headers=headers, timeout=TIMEOUT_S
        )
        assert changed.status_code == 200, changed.text
        total = changed.json()["grand_total"]
        body = {"expected_total": total, "payment_method": "manual"}
        return self.ask("POST", f"/v1/carts/{cart}/checkout", body)["id"]

    def seen(self):
        """Each of them, as its owner sees it."""
        paths = {"cart": "/v1/carts", "order": "/v1/orders", "address": "/v1/me/addresses"}
        found = {
            what: self.ask("GET", f"{path}/{self.ids[what]}")
            for what, path in paths.items()
            if what in self.ids
        }
        if "session" in self.ids:
            found["sessions"] = [each["id"] for each in self.ask("GET", "/v1/me/sessions")["data"]]
        return found


@pytest.fixture(scope="module")
def belongings(stack, callers):
    return {name: Belongings(stack, callers[name]) for name in ("customer", "guest")}


STRANGERS = ["other customer", "other guest", "staff", "admin"]


@pytest.mark.parametrize("owner", ["customer", "guest"])
def test_what_belongs_to_another_is_not_there(stack, callers, belongings, owner):
    things = belongings[owner]
    before = things.seen()
    wrong, asked = [], 0
    strangers = [*STRANGERS, "guest" if owner == "customer" else "customer"]
    for route, what in owned_routes():
        if what not in things.ids:
            continue
        first, *others = route.parameters()
        ids = {first: things.ids[what]} | dict.fromkeys(others, things.sku)
        for name in strangers:
            if authz.outcome(route, callers[name]) != authz.PASS:
                continue
            answer = send(stack, route, callers[name], ids=ids)
            asked += 1
            if (answer.status_code, answer.json().get("code")) != (404, "not_found"):
                wrong.append(f"{route} by {name}: {answer.status_code} {answer.text[:200]}")
    assert not wrong, "\n".join(wrong)
    assert asked > 20
    assert things.seen() == before


# ---- every route ----

NAMES = [
    "no token",
    "guest",
    "customer",
    "staff",
    "admin",
    "API key without the scope",
    "API key with all",
    "expired",
    "wrong key",
    "alg none",
]
# They end the session that the next routes need.
LAST_WORDS = {("users", "logout"), ("users", "logout_all")}


@pytest.mark.parametrize("name", NAMES)
def test_every_route(stack, callers, name):
    caller = callers[name]
    wrong = []
    for route in authz.routes():
        expected = authz.outcome(route, caller)
        if expected == authz.PASS and (route.method.service, route.method.name) in LAST_WORDS:
            continue
        answer = send(stack, route, caller)
        code = answer.json().get("code") if answer.status_code >= 400 else None
        said = (answer.status_code, code)
        if expected == authz.PASS:
            refusals = {(401, "unauthenticated"), (403, "forbidden")}
            fits = said not in refusals or code in route.method.errors  # the service's own word
            fits = fits and answer.status_code < 500
        else:
            fits = said == (expected, {401: "unauthenticated", 403: "forbidden"}[expected])
        if not fits:
            wrong.append(f"{route}: {said} instead of {expected}: {answer.text[:200]}")
    assert not wrong, "\n".join(wrong)
