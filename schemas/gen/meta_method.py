"""The meta-schema of methods: what joins HTTP, class, key, fields and calls."""

from __future__ import annotations

import re

from . import meta_auth, meta_machine
from .check import Checker, Key
from .loader import Map, Seq
from .meta_service import ENVELOPE_BYTES_MAX, NAME, Types
from .model import Binding, Method, Project, Service, Type

_SERVICE = {
    "service": Key("text", True, pattern=NAME),
    "description": Key("text", True),
    "types": Key("map"),
    "machines": Key("map"),
    "methods": Key("map", True),
}
_METHOD = {
    "summary": Key("text", True),
    "description": Key("text"),
    "http": Key("seq"),
    "class": Key("text", True, values=("read", "keyed", "unkeyed", "external")),
    "key": Key("text", True, values=("required", "optional", "none")),
    "priority": Key("text", True, values=("checkout", "account", "browse", "batch")),
    "auth": Key("auth", True),
    "auth_source": Key("bool"),
    "timeout_ms": Key("int", True, low=1, high=600000),
    "lane": Key("text", True, values=("inline", "slot", "batch")),
    "request_bytes_max": Key("int", True, low=0, high=ENVELOPE_BYTES_MAX),
    "reply_bytes_max": Key("int", True, low=1, high=ENVELOPE_BYTES_MAX),
    "memory_bytes_max": Key("int", True, low=4096, high=268435456),
    "body_fields_min": Key("int", low=1, high=64),
    "request": Key("map", True),
    "reply": Key("map"),
    "reply_type": Key("text"),
    "success": Key("map", True),
    "errors": Key("texts", True),
    "calls": Key("texts", pattern=rf"{NAME}\.{NAME}"),
}
_BINDING = {
    "verb": Key("text", True, values=("GET", "POST", "PUT", "PATCH", "DELETE")),
    # Behind /v1, or a well-known file (RFC 8615), which has no parameters.
    "path": Key(
        "text",
        True,
        pattern=r"/v1(/([a-z0-9][a-z0-9-]*|\{[a-z][a-z0-9_]*\})){1,8}"
        r"|/\.well-known/[a-z0-9][a-z0-9-]*(\.[a-z]+)?",
    ),
}
_SUCCESS = {
    "status": Key("int", True),
    "etag": Key("text"),
    "etag_more": Key("text"),
    "location": Key("text", pattern=r"/v1/[a-z0-9/{}_-]+"),
    "next": Key("text"),
}
_AS_DECLARED = (
    "key",
    "priority",
    "timeout_ms",
    "lane",
    "request_bytes_max",
    "reply_bytes_max",
    "memory_bytes_max",
)
_KEY_OF_CLASS = {
    "read": ("none",),
    "keyed": ("required", "optional"),
    "unkeyed": ("none",),
    "external": ("required", "optional", "none"),
}


class Services:
    def __init__(self, check: Checker, types: Types, project: Project):
        self.check, self.types = check, types
        self.errors = {each.code: each for each in project.errors}
        self.scopes = {each.name for each in project.scopes}
        self.nodes: dict[str, Map] = {}  # service.method
        self.routes: list[tuple[Binding, Method, Map]] = []

    def read(self, root: Map, stem: str) -> Service | None:
        check = self.check
        if not check.shape(root, _SERVICE, root.file):
            return None
        name = root["service"]
        if name != stem or name in ("souk", "types"):
            check.add(
                root,
                "service",
                f"the service {name} stands in {root.file}",
                f"name the file {name}.yaml",
            )
        own = self.types.read(root, name)
        service = Service(name, root["description"], list(own.values()), [])
        service.machines = meta_machine.machines(check, root, name)
        for key, node in root["methods"].items():
            said = f"method {key}"
            if not re.fullmatch(NAME, key):
                check.add(root["methods"], key, f"{key} is no name of a method", f"match {NAME}")
            elif not isinstance(node, Map):
                check.add(root["methods"], key, f"{said} is no mapping", "write its keys")
            elif check.shape(node, _METHOD, said) and (one := self.method(node, name, key, own)):
                service.methods.append(one)
        for each in own.values():
            if id(each) not in self.types.used:
                check.add(
                    root["types"],
                    each.name,
                    f"the type {each.name} is never used",
                    "use it or remove it",
                )
        return service

    def method(self, node: Map, service: str, name: str, own: dict[str, Type]) -> Method | None:
        check, types, said = self.check, self.types, f"method {name}"
        before = len(check.problems)
        scope = {**types.shared, **own}
        request = types.of_method(node, "request", name, scope)
        request.body_fields_min = node.get("body_fields_min", 0)
        reply = self.reply(node, name, scope)
        bindings = [each for each in node.get("http", []) if isinstance(each, Map)]
        shapes = [(node["success"], _SUCCESS, f"success of {said}")]
        shapes += [(each, _BINDING, f"a binding of {said}") for each in bindings]
        scoped = isinstance(node["auth"], Map)
        shapes += [(node["auth"], meta_auth.SCOPED, f"auth of {said}")] if scoped else []
        if not all([check.shape(*each) for each in shapes]) or reply is None:
            return None
        success = node["success"]
        one = Method(
            service=service,
            name=name,
            summary=node["summary"],
            description=node.get("description"),
            http=[Binding(each["verb"], each["path"]) for each in bindings],
            cls=node["class"],
            auth="scope" if scoped else node["auth"],
            scope=node["auth"]["scope"] if scoped else None,
            auth_source=node.get("auth_source", False),
            request=request,
            reply=reply,
            reply_named="reply_type" in node,
            status=success["status"],
            etag=success.get("etag"),
            etag_more=success.get("etag_more"),
            location=success.get("location"),
            next=success.get("next"),
            errors=list(node["errors"]),
            calls=list(node.get("calls", [])),
            **{key: node[key] for key in _AS_DECLARED},
        )
        self.nodes[f"{service}.{name}"] = node
        self.rules(node, one, said)
        meta_auth.method(check, node, one, self.scopes)
        self.success(success, one, said)
        self.bindings(node, one, said)
        types.bounded(request, set(), said)
        return one if len(check.problems) == before else None

    def reply(self, node: Map, method: str, scope: dict[str, Type]) -> Type | None:
        if ("reply" in node) == ("reply_type" in node):
            self.check.add(
                node, None, f"method {method} has reply and reply_type, or neither", "keep one"
            )
            return None
        if "reply" in node:
            return self.types.of_method(node, "reply", method, scope)
        name = node["reply_type"]
        if name not in scope:
            self.check.add(
                node, "reply_type", f"method {method} replies the unknown type {name}", "declare it"
            )
            return None
        self.types.used.add(id(scope[name]))
        return scope[name]

    def rules(self, node: Map, one: Method, said: str) -> None:
        """Class, key, lane, sizes, errors."""
        check = self.check
        if one.key not in _KEY_OF_CLASS[one.cls]:
            check.add(
                node,
                "key",
                f"{said} is of class {one.cls} with key: {one.key}",
                f"{one.cls} allows {', '.join(_KEY_OF_CLASS[one.cls])}",
            )
        if one.lane == "inline" and one.calls:
            check.add(
                node,
                "calls",
                f"{said} is inline and calls",
                "inline handlers cannot wait: use lane: slot",
            )
        if one.memory_bytes_max < one.request_bytes_max:
            check.add(
                node,
                "memory_bytes_max",
                f"{said} has less memory than a request may be long",
                "raise it above request_bytes_max",
            )
        body = one.request.of_source("body")
        if bool(body) != bool(one.request_bytes_max) and one.http:
            check.add(
                node,
                "request_bytes_max",
                f"{said} has {len(body)} body fields and request_bytes_max {one.request_bytes_max}",
                "0 without body fields, above 0 with them",
            )
        if one.request.body_fields_min > len(body):
            check.add(
                node,
                "body_fields_min",
                f"{said} has {len(body)} body fields",
                "lower body_fields_min",
            )
        known = [(each, node, "errors") for each in one.errors]
        known += [(each.missing, node["request"], each.name) for each in one.request.fields]
        for code, at, key in known:
            if code not in self.errors:
                check.add(
                    at,
                    key,
                    f"{said} names the unknown error {code}",
                    "add it to errors.yaml or mend the name",
                )
            elif not self.errors[code].public:
                check.add(
                    at,
                    key,
                    f"{said} names the error {code}, which is not public",
                    "take a public one",
                )

    def success(self, node: Map, one: Method, said: str) -> None:
        check, fields = self.check, {each.name: each for each in one.reply.fields}
        if one.status not in (200, 201, 202, 204):
            check.add(
                node, "status", f"{said} succeeds with {one.status}", "take 200, 201, 202 or 204"
            )
        if (one.status == 204) != (not fields) and one.http:
            check.add(
                node,
                "status",
                f"{said} answers {one.status} with {len(fields)} fields",
                "204 is for an empty reply, and only there",
            )
        if (one.status == 201) != bool(one.location):
            check.add(
                node,
                "status",
                f"{said}: 201 and location belong together",
                "say where the new resource is",
            )
        sure = {key for key, at in fields.items() if at.kind in ("str", "int") and at.required}
        if one.etag and one.etag not in sure:
            check.add(
                node,
                "etag",
                f"{said} has the ETag {one.etag}",
                "name a required str or int of the reply",
            )
        more = fields.get(one.etag_more or "")
        if one.etag_more and (not one.etag or one.location or not more or more.kind != "str"):
            check.add(
                node,
                "etag_more",
                f"{said} has {one.etag_more} in its ETag",
                "name a str of the reply, beside etag and without location",
            )
        for name in re.findall(r"\{(\w*)\}", one.location or ""):
            if name not in sure:
                check.add(
                    node,
                    "location",
                    f"{said} has {{{name}}} in its location",
                    "name a required str or int of the reply",
                )
        if one.next:
            first, _, rest = one.next.partition(".")
            at = fields.get(first)
            inner = {each.name: each for each in at.type.fields} if rest and at and at.type else {}
            found = inner.get(rest) if rest else at
            if not found or found.kind != "str":
                check.add(
                    node,
                    "next",
                    f"{said} has next: {one.next}",
                    "name a str of the reply, or of a type in it",
                )
            if not any(
                each.source == "query" and each.name == "cursor" for each in one.request.fields
            ):
                check.add(
                    node,
                    "next",
                    f"{said} has next but no query parameter cursor",
                    "add it: the next page's link carries it",
                )

    def bindings(self, node: Map, one: Method, said: str) -> None:
        check, body = self.check, one.request.of_source("body")
        seq = node.get("http", Seq(node.file, node.line))
        if not all(isinstance(each, Map) for each in seq):
            check.add(
                node,
                "http",
                f"{said} has a binding that is no mapping",
                "write {verb: GET, path: ...}",
            )
        if not one.http and one.request.of_source("path", "query", "header"):
            check.add(
                node,
                "request",
                f"{said} has no HTTP binding but fields from path, query or header",
                "remove from:",
            )
        fields = {each.name: each for each in one.request.of_source("path")}
        needed = {each.name for each in fields.values() if each.required}
        used: list[set[str]] = []
        for at, each in zip([row for row in seq if isinstance(row, Map)], one.http, strict=True):
            params = re.findall(r"\{(\w+)\}", each.path)
            used.append(set(params))
            if not needed <= set(params) <= set(fields) or len(params) != len(set(params)):
                check.add(
                    at,
                    "path",
                    f"{each.path} has the parameters {params or 'none'}, the fields from: path are {sorted(fields) or 'none'}",
                    "make them the same",
                )
            if each.verb in ("GET", "DELETE") and body:
                check.add(
                    at,
                    "verb",
                    f"{each.verb} of {said} has the body field {body[0].name}",
                    "take it from the query, or use POST",
                )
            if (each.verb == "GET" and one.cls != "read") or (
                one.cls == "read" and each.verb not in ("GET", "POST")
            ):
                check.add(
                    at,
                    "verb",
                    f"{each.verb} is bound to {said} of class {one.cls}",
                    "GET reads, and only GET or POST may",
                )
            for other, method, _ in self.routes:
                self.conflict(at, each, other, method)
            self.routes.append((each, one, at))
        for name in fields.keys() - needed:
            if all(name in each for each in used) or not any(name in each for each in used):
                check.add(
                    node["request"],
                    name,
                    f"{said} takes the optional {name} from {'every' if used and name in used[0] else 'no'} path",
                    "add required: true, or a binding with it and one without",
                )

    def conflict(self, at: Map, new: Binding, old: Binding, method: Method) -> None:
        """Refuses two equal routes, and two of which neither is the more literal everywhere."""
        a, b = new.path.split("/"), old.path.split("/")
        if len(a) != len(b):
            return
        pairs = [(x.startswith("{"), y.startswith("{")) for x, y in zip(a, b, strict=True)]
        if any(
            x != y
            for (x, y), p in zip(zip(a, b, strict=True), pairs, strict=True)
            if p == (False, False)
        ):
            return
        if all(x == y for x, y in pairs):
            if new.path != old.path:
                self.check.add(
                    at,
                    "path",
                    f"{new.path} and {old.path} differ only in a parameter's name",
                    "name it the same",
                )
            elif new.verb == old.verb:
                self.check.add(
                    at,
                    "path",
                    f"{new.verb} {new.path} is bound to {method.service}.{method.name} too",
                    "change one",
                )
        elif (True, False) in pairs and (False, True) in pairs:
            self.check.add(
                at,
                "path",
                f"{new.path} and {old.path} match the same requests",
                "change one, so that one is the more literal everywhere",
            )

    def calls(self, services: list[Service]) -> None:
        """Every called method exists, and no service calls itself, be it through others: slots would wait for each other."""
        graph: dict[str, set[str]] = {}
        for one in [each for service in services for each in service.methods]:
            for call in one.calls:
                node = self.nodes[f"{one.service}.{one.name}"]
                if call not in self.nodes:
                    self.check.add(
                        node,
                        "calls",
                        f"method {one.name} calls the unknown {call}",
                        "mend the name",
                    )
                    continue
                graph.setdefault(one.service, set()).add(call.split(".")[0])
                if path := _path(graph, call.split(".")[0], one.service):
                    self.check.add(
                        node,
                        "calls",
                        f"the services {' -> '.join([one.service, *path])} call in a circle",
                        "slots would wait for each other: use an event, or move the method",
                    )

    def one_source(self, services: list[Service]) -> None:
        """The gateway asks one method for keys."""
        found = [each for service in services for each in service.methods if each.auth_source]
        for one in found[1:]:
            self.check.add(
                self.nodes[f"{one.service}.{one.name}"],
                "auth_source",
                f"{found[0].service}.{found[0].name} is the auth_source too",
                "keep one",
            )


def _path(graph: dict[str, set[str]], start: str, goal: str) -> list[str] | None:
    """The services from start to goal along calls."""
    stack = [[start]]
    seen: set[str] = set()
    while stack:
        path = stack.pop()
        if path[-1] == goal:
            return path
        if path[-1] not in seen:
            seen.add(path[-1])
            stack += [[*path, each] for each in sorted(graph.get(path[-1], ()))]
    return None
