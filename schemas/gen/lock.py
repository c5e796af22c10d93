"""The lock: names, types and numbers that others rely on. A change that breaks them fails, unless lock_waivers.yaml excuses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .check import Checker, Key
from .loader import Map, load
from .meta_rows import rows
from .model import Field, Machine, Project, Type

Lock = dict[str, Any]


def _field(one: Field) -> Lock:
    ret: Lock = {"type": f"{one.type.service}.{one.type.name}" if one.type else one.kind}
    if one.item:
        ret["item"] = _field(one.item)["type"]
    if one.values:
        ret["values"] = one.values
    for key in ("required", "nullable"):
        if getattr(one, key):
            ret[key] = True
    if one.source != "body":
        ret["from"] = f"{one.source} {one.source_name}"
    return ret


def _fields(one: Type) -> Lock:
    return {each.name: _field(each) for each in one.fields}


def make(project: Project) -> Lock:
    """What the schemas promise now."""
    sent: dict[str, bool] = {}
    types: Lock = {}
    for one in project.methods():
        _reach(one.request, sent)
    for one_type in [
        *project.types,
        *(each for service in project.services for each in service.types),
    ]:
        name = f"{one_type.service}.{one_type.name}"
        types[name] = {"request": name in sent, "fields": _fields(one_type)}
    methods = {}
    for one in project.methods():
        methods[f"{one.service}.{one.name}"] = {
            "http": [f"{each.verb} {each.path}" for each in one.http],
            "status": one.status,
            "class": one.cls,
            "key": one.key,
            "auth": one.auth,
            "scope": one.scope,
            "request": _fields(one.request),
            "reply": f"{one.reply.service}.{one.reply.name}"
            if one.reply_named
            else _fields(one.reply),
        }
    return {
        "events": {
            each.type: {
                "service": each.service,
                "aggregate": each.aggregate,
                "payload": _fields(each.payload),
            }
            for each in project.events
        },
        "machines": {f"{each.service}.{each.name}": _machine(each) for each in project.machines()},
        "errors": {
            each.code: {"number": each.number, "status": each.status, "public": each.public}
            for each in project.errors
        },
        "types": types,
        "methods": methods,
        "scopes": {each.name: {} for each in project.scopes},
        "roles": {each.name: {"scopes": each.scopes} for each in project.roles},
        "config": {each.env: {"kind": each.kind, "flag": each.flag} for each in project.settings},
        "metrics": {
            each.name: {"kind": each.kind, "labels": each.labels} for each in project.metrics
        },
    }


def _machine(one: Machine) -> Lock:
    return {
        "initial": one.initial,
        "states": list(one.states),
        "moves": {
            f"{state} {by}": to
            for state in one.states
            for by in one.names()
            if (to := one.target(state, by)) is not None
        },
    }


def _reach(one: Type, found: dict[str, bool]) -> None:
    for each in one.nested():
        name = f"{each.service}.{each.name}"
        if name not in found:
            found[name] = True
            _reach(each, found)


def text(lock: Lock) -> str:
    return json.dumps(lock, indent=1, sort_keys=True) + "\n"


def breaks(old: Lock, new: Lock) -> dict[str, str]:
    """What in new breaks those who rely on old: by the name that a waiver would have."""
    ret: dict[str, str] = {}
    for part in ("errors", *_COMPARED, "scopes", "config", "metrics"):
        for name, was in old.get(part, {}).items():  # an older lock lacks newer parts
            now = new[part].get(name)
            if now is None:
                ret[f"{part}.{name}"] = "was removed"
            elif part in _COMPARED:
                _COMPARED[part](ret, f"{part}.{name}", was, now)
            else:
                for key in was:
                    if was[key] != now[key]:
                        ret[f"{part}.{name}.{key}"] = f"was {was[key]}, is {now[key]}"
    numbers = {row["number"]: code for code, row in old["errors"].items()}
    for code, row in new["errors"].items():
        if numbers.get(row["number"], code) != code:
            ret[f"errors.{code}.number"] = (
                f"reuses {row['number']}, the number of {numbers[row['number']]}"
            )
    return ret


def _compare_method(ret: dict[str, str], name: str, was: Lock, now: Lock) -> None:
    for binding in was["http"]:
        if binding not in now["http"]:
            ret[f"{name}.http {binding}"] = "was removed"
    for key in ("status", "class", "key"):
        loosened = key == "key" and was[key] == "required" and now[key] == "optional"
        if was[key] != now[key] and not loosened:
            ret[f"{name}.{key}"] = f"was {was[key]}, is {now[key]}"
    if not _admits(_said(was), _said(now)):
        ret[f"{name}.auth"] = f"was {_said(was)}, is {_said(now)}"
    _compare_fields(ret, f"{name}.request", was["request"], now["request"], True)
    if isinstance(was["reply"], str) or isinstance(now["reply"], str):
        if was["reply"] != now["reply"]:
            ret[f"{name}.reply"] = "was replaced"
    else:
        _compare_fields(ret, f"{name}.reply", was["reply"], now["reply"], False)


def _compare_type(ret: dict[str, str], name: str, was: Lock, now: Lock) -> None:
    sent = was["request"] and now["request"]
    _compare_fields(ret, name, was["fields"], now["fields"], sent)


def _compare_role(ret: dict[str, str], name: str, was: Lock, now: Lock) -> None:
    if gone := [each for each in was["scopes"] if each not in now["scopes"]]:
        ret[f"{name}.scopes"] = f"lost {', '.join(gone)}"


def _compare_event(ret: dict[str, str], name: str, was: Lock, now: Lock) -> None:
    for key in ("service", "aggregate"):
        if was[key] != now[key]:
            ret[f"{name}.{key}"] = f"was {was[key]}, is {now[key]}"
    _compare_fields(ret, f"{name}.payload", was["payload"], now["payload"], False)


def _compare_machine(ret: dict[str, str], name: str, was: Lock, now: Lock) -> None:
    if was["initial"] != now["initial"]:
        ret[f"{name}.initial"] = f"was {was['initial']}, is {now['initial']}"
    if gone := [each for each in was["states"] if each not in now["states"]]:
        ret[f"{name}.states"] = f"lost {', '.join(gone)}"
    for move, to in was["moves"].items():
        if now["moves"].get(move) != to:
            ret[f"{name}.moves.{move}"] = f"led to {to}, now to {now['moves'].get(move)}"


def _said(one: Lock) -> str:
    """The auth of a method; an older lock says only the scope."""
    return str(one["scope"] or one.get("auth", "none"))


def _admits(was: str, now: str) -> bool:
    """Everybody who was let in still is. Only `none` takes bad credentials: it does not look at them."""
    wider = {
        "none": ("optional", "guest", "user"),
        "optional": ("guest", "user"),
        "guest": ("user",),
    }
    scoped = ":" in was and now in ("none", "optional")
    return was == now or scoped or was in wider.get(now, ())


def _compare_fields(ret: dict[str, str], name: str, was: Lock, now: Lock, request: bool) -> None:
    for field, old in was.items():
        new = now.get(field)
        said = f"{name}.{field}"
        if new is None:
            ret[said] = "was removed"
            continue
        for key in ("type", "item", "from"):
            if old.get(key) != new.get(key):
                ret[f"{said}.{key}"] = f"was {old.get(key)}, is {new.get(key)}"
        if gone := [each for each in old.get("values", []) if each not in new.get("values", [])]:
            ret[f"{said}.values"] = f"lost {', '.join(gone)}"
        if request and new.get("required") and not old.get("required"):
            ret[f"{said}.required"] = "became required"
        if request and old.get("nullable") and not new.get("nullable"):
            ret[f"{said}.nullable"] = "may not be null any more"
        if not request and old.get("required") and not new.get("required"):
            ret[f"{said}.required"] = "may be absent now"
        if not request and new.get("nullable") and not old.get("nullable"):
            ret[f"{said}.nullable"] = "may be null now"
    for field, new in now.items():
        if request and field not in was and new.get("required"):
            ret[f"{name}.{field}.required"] = "is new and required"


_COMPARED = {
    "types": _compare_type,
    "methods": _compare_method,
    "roles": _compare_role,
    "events": _compare_event,
    "machines": _compare_machine,
}


def waivers(folder: Path) -> set[str]:
    """The breaks that lock_waivers.yaml excuses, each with its reason. Raises Problem."""
    path = folder / "lock_waivers.yaml"
    if not path.is_file():
        return set()
    check = Checker()
    shape = {"breaks": Key("text", True), "reason": Key("text", True)}
    found: list[Map] = [
        row
        for _, _, row in rows(check, load(path), "waivers")
        if check.shape(row, shape, "a waiver")
    ]
    check.finish()
    return {row["breaks"] for row in found}


def check(folder: Path, project: Project) -> list[str]:
    """The breaks that nothing excuses, in words."""
    path = folder / "lock.json"
    if not path.is_file():
        return ["schemas/lock.json: is missing; run `make docs`"]
    found = breaks(json.loads(path.read_text(encoding="utf-8")), make(project))
    excused = waivers(folder)
    return [
        f"schemas/lock.json: {name} {what}; take it back, or excuse it in schemas/lock_waivers.yaml (breaks: {name!r}, reason: ...)"
        for name, what in found.items()
        if name not in excused
    ]
