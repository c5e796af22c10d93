"""The meta-schema of rights: roles.yaml, and what a method says of who may call it."""

from __future__ import annotations

import re

from .check import Checker, Key
from .loader import Map, Seq
from .meta_rows import unique
from .model import Field, Method, Project, Role, Scope

KINDS = ("none", "optional", "guest", "user")
SCOPED = {"scope": Key("text", True, pattern="[a-z]+:[a-z]+")}
_FILE = {"scopes": Key("seq", True), "roles": Key("seq", True)}
_SCOPE = {
    "name": Key("text", True, pattern="[a-z]+:[a-z]+"),
    "description": Key("text", True),
}
_ROLE = {
    "name": Key("text", True, pattern="[a-z][a-z0-9_]{0,31}"),
    "description": Key("text", True),
    "scopes": Key("texts", True, pattern=r"[a-z]+:[a-z]+|\*"),
}
ROLES_MAX = 16  # a user's roles are bits in C
SCOPES_MAX = 64

# What the gateway reads of an auth_source: the reply's fields, "[]" for a list's items.
_REQUEST = {"since": "int"}
_REPLY = {
    "revision": "int",
    "unchanged": "bool",
    "issuer": "str",
    "audience": "str",
    "keys": "list",
    "keys[].kid": "str",
    "keys[].x": "str",
    "keys[].y": "str",
    "api_keys": "list",
    "api_keys[].id": "str",
    "api_keys[].sha256": "bytes",
    "api_keys[].subject": "str",
    "api_keys[].scopes": "list",
    "api_keys[].scopes[]": "str",
    "api_keys[].expires_at": "time",
}


def _rows(check: Checker, seq: Seq, shape: dict[str, Key], what: str) -> list[Map]:
    found: list[Map] = []
    seen: dict[object, int] = {}
    for at, row in enumerate(seq):
        if not isinstance(row, Map):
            check.add(seq, at, f"{row!r} is no row", "write {key: value, ...}")
        elif check.shape(row, shape, f"{what} {row.get('name', '?')}"):
            unique(check, seen, row, "name", row["name"], f"the {what}")
            found.append(row)
    return found


def roles(check: Checker, root: Map, project: Project) -> None:
    """Reads roles.yaml into the project."""
    if not check.shape(root, _FILE, root.file):
        return
    for key, most in (("scopes", SCOPES_MAX), ("roles", ROLES_MAX)):
        if len(root[key]) > most:
            check.add(root, key, f"there are {len(root[key])} {key}", f"{most} are the most")
    for row in _rows(check, root["scopes"], _SCOPE, "scope"):
        project.scopes.append(Scope(row["name"], row["description"]))
    known = {each.name for each in project.scopes}
    for row in _rows(check, root["roles"], _ROLE, "role"):
        scopes = list(row["scopes"])
        for scope in scopes:
            if scope != "*" and scope not in known:
                check.add(
                    row,
                    "scopes",
                    f"role {row['name']} has the unknown scope {scope}",
                    "add it to scopes or mend the name",
                )
        if "*" in scopes and len(scopes) > 1:
            check.add(row, "scopes", f"role {row['name']} has * and others", "keep [*]")
        project.roles.append(Role(row["name"], row["description"], scopes))


def method(check: Checker, node: Map, one: Method, scopes: set[str]) -> None:
    """The rules of auth and auth_source."""
    said = f"method {one.name}"
    if one.auth == "scope":
        if one.scope not in scopes:
            check.add(
                node,
                "auth",
                f"{said} asks for the unknown scope {one.scope}",
                "add it to roles.yaml or mend the name",
            )
    elif one.auth not in KINDS:
        fix = f'write {", ".join(KINDS)} or {{scope: "..."}}'
        check.add(node, "auth", f"auth of {said} is {one.auth}", fix)
    if one.key != "none" and one.auth in ("none", "optional"):
        check.add(
            node,
            "auth",
            f"{said} has key: {one.key} and auth: {one.auth}",
            "a key belongs to somebody: take auth guest, user or a scope, or key: none",
        )
    if one.auth_source:
        _source(check, node, one, said)


def _source(check: Checker, node: Map, one: Method, said: str) -> None:
    """A method that the gateway itself calls: it reads the reply without a generated type."""
    if one.http or one.auth != "none" or one.cls != "read":
        check.add(
            node,
            "auth_source",
            f"{said} is auth_source with a binding, auth: {one.auth} or class {one.cls}",
            "the gateway calls it over the bus: no http, auth: none, class: read",
        )
    for type_, wanted in ((one.request, _REQUEST), (one.reply, _REPLY)):
        found = _paths(type_.fields, "")
        for path, kind in wanted.items():
            if found.get(path) != kind:
                check.add(
                    node,
                    "auth_source",
                    f"{said} has no {kind} {path}",
                    f"its {'request' if wanted is _REQUEST else 'reply'} is fixed: {', '.join(wanted)}",
                )


def _paths(fields: list[Field], before: str) -> dict[str, str]:
    """The kind of each field, of those of nested types and of the items of lists too."""
    ret: dict[str, str] = {}
    for one in fields:
        path = re.sub(r"\.$", "", before + one.name)
        ret[path] = one.kind
        if one.item:
            ret |= (
                _paths(one.item.type.fields, f"{path}[].")
                if one.item.type
                else {f"{path}[]": one.item.kind}
            )
        elif one.type:
            ret |= _paths(one.type.fields, f"{path}.")
    return ret
