"""People for tests of the users service: they register, log in, read their mail (the outbox) and use an authenticator."""

import base64
import concurrent.futures
import hashlib
import hmac
import itertools
import re
import struct
import time

import requests
from requests.adapters import HTTPAdapter

from .stack import wait_for

PASSWORD = "correct horse battery"
TIMEOUT_S = 40
# Hashes as cheap as Argon2id allows, and no throttling but where a test asks for it.
QUICK = {
    "SOUK_USERS_ARGON2_MEMORY_KIB": "1024",
    "SOUK_USERS_ARGON2_OPERATIONS": "1",
    "SOUK_USERS_HASH_WAIT_MS": "20000",
    "SOUK_WORKER_SLOTS": "10",  # eight may hash or wait for it at once, and one slot stays free
}
UNTHROTTLED = {
    f"SOUK_USERS_THROTTLE_{bucket}_BURST": "1000"
    for bucket in ("PAIR", "ACCOUNT", "ADDRESS", "MAIL")
}
_numbers = itertools.count(1)


class FromAddress(HTTPAdapter):
    """Connects from one of the loopback network's addresses: the client's address as the gateway sees it."""

    def __init__(self, address):
        self.address = address
        super().__init__()

    def init_poolmanager(self, *arguments, **options):
        super().init_poolmanager(*arguments, source_address=(self.address, 0), **options)


class Person(requests.Session):
    """Somebody with a browser: `person.post("/v1/auth/login", {...})`. Logged in, requests carry the access token."""

    def __init__(self, stack, email=None, password=PASSWORD, address=None):
        super().__init__()
        self.stack = stack
        self.email = email or f"person-{next(_numbers)}@example.com"
        self.password = password
        self.tokens = None
        if address:
            self.mount("http://", FromAddress(address))

    def request(self, method, path, body=None, **options):
        headers = dict(options.pop("headers", None) or {})
        if self.tokens:
            headers.setdefault("Authorization", f"Bearer {self.tokens['access_token']}")
        options.setdefault("timeout", TIMEOUT_S)
        if body is not None:
            options["json"] = body
        return super().request(method, self.stack.url + path, headers=headers, **options)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.request("POST", path, body, **options)

    def patch(self, path, body=None, **options):
        return self.request("PATCH", path, body, **options)

    def put(self, path, body=None, **options):
        return self.request("PUT", path, body, **options)

    def delete(self, path, **options):
        return self.request("DELETE", path, **options)

    # ---- accounts ----

    def register(self, **fields):
        """Make the account; returns self."""
        answer = self.post("/v1/users", {"email": self.email, "password": self.password, **fields})
        assert answer.status_code == 202, answer.text
        return self

    def try_login(self, **fields):
        """The answer to a login, whatever it is."""
        body = {"email": self.email, "password": self.password, **fields}
        return self.post("/v1/auth/login", body, headers={"Authorization": ""})

    def login(self, **fields):
        """Log in; returns self."""
        answer = self.try_login(**fields)
        assert answer.status_code == 200, answer.text
        self.tokens = answer.json()
        return self

    def refresh(self, token=None):
        """The answer to an exchange; its tokens are kept when there are some."""
        token = token or self.tokens["refresh_token"]
        answer = self.post(
            "/v1/auth/refresh", {"refresh_token": token}, headers={"Authorization": ""}
        )
        if answer.status_code == 200:
            self.tokens = answer.json()
        return answer

    def again(self):
        """The same person with another browser, not logged in."""
        return Person(self.stack, self.email, self.password)

    def again_with_tokens(self):
        """Another connection of the same session, for a thread of its own."""
        other = self.again()
        other.tokens = self.tokens
        return other

    @property
    def id(self):
        return self.tokens["user_id"]

    # ---- mail ----

    def mails(self, kind=None):
        """The events about this account, oldest first: (type, payload)."""
        with self.stack.connect("users") as database:
            rows = database.execute(
                "SELECT o.type, o.payload FROM outbox o JOIN users u ON u.id = o.aggregate"
                " WHERE u.email_folded = lower(%s) AND (%s::text IS NULL OR o.type = %s) ORDER BY o.sequence",
                (self.email, kind, kind),
            )
            return rows.fetchall()

    def token(self, kind):
        """The token in the newest mail of a kind."""
        return self.mails(kind)[-1][1]["token"]

    def confirm_address(self):
        """Confirm the address by the mail of the registration, unless it is confirmed."""
        if not self.get("/v1/me").json()["email_verified"]:
            body = {"token": self.token("user.registered")}
            answer = self.post("/v1/auth/verify-email", body)
            assert answer.status_code == 204, answer.text
        return self

    # ---- second factor ----

    def enrol(self):
        """Begin and confirm a second factor; returns its secret and the recovery codes."""
        self.confirm_address()
        begun = self.post("/v1/me/totp", {"password": self.password})
        assert begun.status_code == 200, begun.text
        secret = begun.json()["secret"]
        confirmed = self.post("/v1/me/totp/confirm", {"code": totp(secret)})
        assert confirmed.status_code == 200, confirmed.text
        return secret, confirmed.json()["recovery_codes"]

    def forget_step(self):
        """The account forgets that a code was used: tests do not wait half a minute for the next one."""
        with self.stack.connect("users") as database:
            database.execute(
                "UPDATE users SET totp_step = 0 WHERE email_folded = lower(%s)", (self.email,)
            )


def totp(secret, steps=0, now=None):
    """The code of an authenticator (RFC 6238) so many steps from now, computed independently."""
    step = int((now or time.time()) // 30) + steps
    mac = hmac.new(base64.b32decode(secret), struct.pack(">Q", step), hashlib.sha1).digest()
    at = mac[19] & 15
    return f"{(struct.unpack('>I', mac[at : at + 4])[0] & 0x7FFFFFFF) % 1000000:06d}"


def person(stack, **options):
    """Somebody new who is logged in, and whom the gateway knows: it may just have started."""
    somebody = Person(stack, **options).register().login()
    wait_for(lambda: somebody.get("/v1/me").status_code != 503, what="the gateway has its keys")
    return somebody


def address(**fields):
    """A valid postal address."""
    return {
        "name": "Ada Lovelace",
        "line1": "12 St James's Square",
        "city": "London",
        "country": "GB",
        **fields,
    }


def admin(stack):
    """An admin, made by the key of the stack, and logged in with that role."""
    somebody = person(stack)
    give_roles(stack, somebody.id, ["admin"])
    return somebody.login()


def give_roles(stack, user_id, roles):
    answer = requests.put(
        f"{stack.url}/v1/admin/users/{user_id}/roles",
        json={"roles": roles},
        headers=stack.admin,
        timeout=TIMEOUT_S,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def metric(stack, name, **labels):
    """The sum of a metric over the stack's users workers."""
    total = 0.0
    for label, process in stack.processes.items():
        if label.startswith("users-"):
            text = requests.get(process.admin_url + "/metrics", timeout=TIMEOUT_S).text
            for line in text.splitlines():
                found = re.fullmatch(re.escape(name) + r"(?:\{(.*)\})? (\S+)", line)
                if found and all(f'{k}="{v}"' in (found[1] or "") for k, v in labels.items()):
                    total += float(found[2])
    return total


def problem(answer):
    """Status and code of a refusal."""
    return answer.status_code, answer.json()["code"]


def eventually(question, what, timeout_s=30):
    return wait_for(question, timeout_s, what)


def in_parallel(calls):
    """The answers of calls that are made at the same time."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [each.result() for each in [pool.submit(call) for call in calls]]


def age_next_key(stack):
    """As if the next signing key had been published for a day: it may sign."""
    with stack.connect("users") as database:
        database.execute(
            "UPDATE signing_keys SET created_at = created_at - interval '1 day' WHERE state = 'next'"
        )
