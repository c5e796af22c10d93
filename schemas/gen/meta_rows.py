"""The meta-schema of errors.yaml, config.yaml and metrics.yaml."""

from __future__ import annotations

from .check import Checker, Key
from .loader import Map, Seq
from .model import Error, Metric, Setting

_ERROR = {
    "code": Key("text", True, pattern="[a-z][a-z0-9_]{0,39}"),
    "number": Key("int", True, low=1, high=9999),
    "status": Key("int", True, low=400, high=599),
    "title": Key("text", True),
    "retry": Key("bool"),
    "public": Key("bool"),
    "description": Key("text"),
}


def rows(check: Checker, root: Map, name: str) -> list[tuple[Seq, int, Map]]:
    """The rows of a file that holds one list of mappings."""
    if not check.shape(root, {name: Key("seq", True)}, root.file):
        return []
    seq = root[name]
    found = [(seq, at, row) for at, row in enumerate(seq) if isinstance(row, Map)]
    for at, row in enumerate(seq):
        if not isinstance(row, Map):
            check.add(seq, at, f"{row!r} is no row", "write {key: value, ...}")
    return found


def unique(check: Checker, seen: dict[object, int], row: Map, key: str, value: object, what: str) -> None:
    if value in seen:
        check.add(row, key, f"{what} {value} stands twice", f"change one (the first is on line {seen[value]})")
    seen.setdefault(value, row.line_of(key))


def errors(check: Checker, root: Map) -> list[Error]:
    ret: list[Error] = []
    codes: dict[object, int] = {}
    numbers: dict[object, int] = {}
    for _, _, row in rows(check, root, "errors"):
        if not check.shape(row, _ERROR, f"error {row.get('code', '?')}"):
            continue
        unique(check, codes, row, "code", row["code"], "the error code")
        unique(check, numbers, row, "number", row["number"], "the error number")
        ret.append(Error(row["code"], row["number"], row["status"], row["title"], row.get("retry", False),
                         row.get("public", True), row.get("description")))
    known = {each.code for each in ret}
    for code in ("internal", "validation", "malformed", "precondition_required", "unknown_parameter", "no_memory"):
        if not check.problems and code not in known:
            check.add(root, None, f"the error {code} is missing", "the engine answers with it: add it")
    return ret
