"""The authorization matrix: every route of the schemas x every kind of caller, and what has to happen.

    for route in routes():
        for caller in callers:
            outcome(route, caller)          # PASS, 401 or 403
            route.request(ids={"id": ...})  # a minimal request that the gateway takes

Nothing here names a route: a new one is in the matrix as soon as it is in the schemas. A second reading of what schemas/README.md says of `auth`, against the gateway's."""

import functools
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "schemas"))

from gen import examples, meta  # noqa: E402

PASS = "pass"


@functools.cache
def project():
    """The model of the schemas."""
    return meta.read(ROOT / "schemas")


def role_scopes(roles):
    """What users with these roles may do, in the order of roles.yaml; "*" alone for everything."""
    found = {scope for each in project().roles if each.name in roles for scope in each.scopes}
    return ["*"] if "*" in found else [each.name for each in project().scopes if each.name in found]


@dataclass(frozen=True)
class Caller:
    """Somebody who sends a token, or none."""

    name: str
    kind: str  # nobody, guest, user, api_key, bad
    token: str | None = None
    subject: str | None = None
    roles: tuple = ()
    scopes: tuple = ()  # of an API key

    def rights(self):
        """Scopes, as the worker sees them."""
        return role_scopes(self.roles) if self.kind == "user" else list(self.scopes)

    def headers(self):
        """Authorization, when there is one."""
        return {"Authorization": f"Bearer {self.token}"} if self.token is not None else {}

    def principal(self):
        """What a worker gets, without the session."""
        if self.kind == "nobody":
            return None
        found = {"sub": self.subject, "kind": self.kind, "scopes": self.rights()}
        return found | ({"roles": list(self.roles)} if self.kind == "user" else {})


@dataclass(frozen=True)
class Request:
    """What to send."""

    verb: str
    target: str
    headers: dict
    body: dict | None


@dataclass(frozen=True)
class Route:
    """A binding of a method."""

    verb: str
    path: str
    method: object = field(repr=False, hash=False, compare=False)

    def __str__(self):
        return f"{self.verb} {self.path}"

    def parameters(self):
        """Names of the path's parameters."""
        return re.findall(r"\{(\w+)\}", self.path)

    def request(self, ids=None, key="matrix-1", body=None):
        """Built from the examples of the schema: path parameters (or ids, by name), what is required of query and headers, the whole body (or body's fields instead)."""
        one = self.method.request
        target = self.path
        headers = {}
        query = []
        for each in one.fields:
            if each.source == "path" and each.name in self.parameters():
                value = (ids or {}).get(each.name, examples.of_field(each))
                target = target.replace(f"{{{each.name}}}", quote(str(value), safe=""))
            elif each.source == "query" and each.required:
                query += [
                    (f"{each.source_name}.{at}" if at else each.source_name, text)
                    for at, text in examples.texts(each)
                ]
            elif each.source == "header" and each.required:
                headers[each.source_name] = examples.texts(each)[0][1]
        if self.method.key == "required":
            headers["Idempotency-Key"] = key
        if query:
            target += "?" + urlencode(query)
        content = None
        if one.of_source("body"):
            content = json.loads(json.dumps(examples.of_type(one, "body"))) | (body or {})
        return Request(self.verb, target, headers, content)


def routes():
    """Every binding of every method."""
    return [Route(each.verb, each.path, one) for one in project().methods() for each in one.http]


def outcome(route, caller):
    """PASS: the service gets the request. Else the status that the gateway answers with."""
    auth, scope = route.method.auth, route.method.scope
    if auth == "none":
        return PASS
    if caller.kind == "bad":
        return 401
    if caller.kind == "nobody":
        return PASS if auth == "optional" else 401
    admitted = {
        "optional": True,
        "guest": caller.kind in ("guest", "user"),
        "user": caller.kind == "user",
        "scope": caller.kind in ("user", "api_key") and bool({"*", scope} & set(caller.rights())),
    }
    return PASS if admitted[auth] else 403


def principal(route, caller):
    """What the service gets where the outcome is PASS."""
    return None if route.method.auth == "none" else caller.principal()
