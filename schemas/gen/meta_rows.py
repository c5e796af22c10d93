"""The meta-schema of errors.yaml, config.yaml and metrics.yaml."""

from __future__ import annotations

import re
from typing import Any

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
    "constraints": Key("texts", pattern="[a-z][a-z0-9_]{0,62}"),
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


def unique(
    check: Checker, seen: dict[object, int], row: Map, key: str, value: object, what: str
) -> None:
    if value in seen:
        check.add(
            row,
            key,
            f"{what} {value} stands twice",
            f"change one (the first is on line {seen[value]})",
        )
    seen.setdefault(value, row.lines[key])


def errors(check: Checker, root: Map) -> list[Error]:
    ret: list[Error] = []
    codes: dict[object, int] = {}
    numbers: dict[object, int] = {}
    constraints: dict[object, int] = {}
    for _, _, row in rows(check, root, "errors"):
        if not check.shape(row, _ERROR, f"error {row.get('code', '?')}"):
            continue
        unique(check, codes, row, "code", row["code"], "the error code")
        unique(check, numbers, row, "number", row["number"], "the error number")
        for each in row.get("constraints", []):
            unique(check, constraints, row, "constraints", each, "the constraint")
        ret.append(
            Error(
                row["code"],
                row["number"],
                row["status"],
                row["title"],
                row.get("retry", False),
                row.get("public", True),
                row.get("description"),
                list(row.get("constraints", [])),
            )
        )
    known = {each.code for each in ret}
    for code in (
        "internal",
        "validation",
        "malformed",
        "precondition_required",
        "unknown_parameter",
        "no_memory",
    ):
        if not check.problems and code not in known:
            check.add(
                root, None, f"the error {code} is missing", "the engine answers with it: add it"
            )
    return ret


BINARIES = ("gateway", "broker", "worker", "soukctl")
_SETTING = {
    "env": Key("text", True, pattern="[A-Z][A-Z0-9_]{0,63}"),
    "flag": Key("text", pattern="[a-z][a-z0-9-]{0,40}"),
    "process": Key("texts", True, values=(*BINARIES, "local", "all")),
    "kind": Key("text", True, values=("str", "int", "bool", "enum")),
    "min": Key("int"),
    "max": Key("int"),
    "values": Key("texts"),
    "default": Key("any", True),
    "unit": Key("text", values=("us", "ms", "s", "days", "bytes", "requests/s")),
    "secret": Key("bool"),
    "description": Key("text", True),
}


def settings(check: Checker, root: Map) -> list[Setting]:
    ret: list[Setting] = []
    envs: dict[object, int] = {}
    members: dict[object, int] = {}
    for _, _, row in rows(check, root, "config"):
        what = f"setting {row.get('env', '?')}"
        if not check.shape(row, _SETTING, what):
            continue
        if not _setting_fits(check, row, what):
            continue
        unique(check, envs, row, "env", row["env"], "the setting")
        process = [*BINARIES] if "all" in row["process"] else list(row["process"])
        one = Setting(
            row["env"],
            row.get("flag"),
            process,
            row["kind"],
            row["default"],
            row["description"],
            list(row.get("values", [])),
            row.get("min", 0),
            row.get("max", 0),
            row.get("unit"),
            row.get("secret", False),
        )
        for each in process:
            if each != "local":
                unique(
                    check,
                    members,
                    row,
                    "flag" if one.flag else "env",
                    f"{each}.{one.member}",
                    "the member",
                )
        ret.append(one)
    for each in BINARIES:
        if not check.problems and not any(each in one.process for one in ret):
            check.add(
                root, None, f"no setting is read by {each}", "C has no empty structs: add one"
            )
    return ret


def _setting_fits(check: Checker, row: Map, what: str) -> bool:
    """The rules that join several keys of one setting."""
    before = len(check.problems)
    kind: str = row["kind"]
    default: Any = row["default"]
    kinds: dict[str, tuple[Any, str]] = {
        "str": (str, "text"),
        "enum": (str, "text"),
        "int": (int, "a whole number"),
        "bool": (bool, "true or false"),
    }
    if "all" in row["process"] and len(row["process"]) > 1:
        check.add(row, "process", f"{what} is of all and of others", "keep [all]")
    if row.get("secret") and "flag" in row:
        check.add(
            row,
            "flag",
            f"{what} is a secret with a flag",
            "remove the flag: everybody sees command lines",
        )
    if set(row["process"]) != {"local"} and not row["env"].startswith("SOUK_"):
        check.add(row, "env", f"{what} does not begin with SOUK_", "rename it")
    suffix = re.search("_(US|MS|S|DAYS|BYTES)(_MAX)?$", row["env"])
    if suffix and kind == "int" and row.get("unit") != suffix[1].lower():
        check.add(row, "unit", f"{what} ends in {suffix[0]}", f"add unit: {suffix[1].lower()}")
    if (kind == "enum") != ("values" in row):
        check.add(
            row, None, f"{what} is of kind {kind}", "values: [...] belongs to enum, and only there"
        )
    if (kind in ("str", "int")) != ("min" in row and "max" in row) or ("min" in row) != (
        "max" in row
    ):
        check.add(
            row,
            None,
            f"{what} is of kind {kind}",
            "str and int have min and max, the others have neither",
        )
    elif "min" in row and row["min"] > row["max"]:
        check.add(row, "min", f"{what} has min {row['min']} above max {row['max']}", "swap them")
    if type(default) is not kinds[kind][0]:
        check.add(
            row, "default", f"the default of {what} is {default!r}", f"make it {kinds[kind][1]}"
        )
    elif kind in ("str", "int") and "min" in row and "max" in row:
        size: int = len(default) if kind == "str" else default
        if not row["min"] <= size <= row["max"]:
            check.add(
                row,
                "default",
                f"the default of {what} is not within {row['min']}..{row['max']}",
                "move a bound or the default",
            )
    elif kind == "enum" and default not in row.get("values", []):
        check.add(row, "default", f"the default of {what} is {default}", "take one of its values")
    return len(check.problems) == before


_METRIC = {
    "name": Key("text", True, pattern="souk_[a-z][a-z0-9_]{0,80}"),
    "kind": Key("text", True, values=("counter", "gauge", "histogram")),
    "labels": Key("texts", pattern="[a-z][a-z0-9_]{0,40}"),
    "series_max": Key("int", low=1, high=100000),
    "process": Key("texts", True, values=(*BINARIES, "all")),
    "bounds_us": Key("seq"),
    "help": Key("text", True),
}
_WRONG_UNITS = (
    "_ms",
    "_us",
    "_ns",
    "_millis",
    "_kb",
    "_mb",
    "_percent",
    "_count",
    "_sum",
    "_bucket",
)
# From a reply out of memory to the longest that a caller waits, 1-2-5.
BOUNDS_US = [
    100,
    250,
    500,
    1000,
    2500,
    5000,
    10000,
    25000,
    50000,
    100000,
    250000,
    500000,
    1000000,
    2500000,
    5000000,
    10000000,
]


def metrics(check: Checker, root: Map) -> list[Metric]:
    ret: list[Metric] = []
    names: dict[object, int] = {}
    for _, _, row in rows(check, root, "metrics"):
        what = f"metric {row.get('name', '?')}"
        if not check.shape(row, _METRIC, what) or not _metric_fits(check, row, what):
            continue
        unique(check, names, row, "name", row["name"], "the metric")
        bounds = list(row.get("bounds_us", BOUNDS_US)) if row["kind"] == "histogram" else []
        ret.append(
            Metric(
                row["name"],
                row["kind"],
                list(row.get("labels", [])),
                row.get("series_max", 1),
                list(row["process"]),
                row["help"],
                bounds,
            )
        )
    return ret


def _metric_fits(check: Checker, row: Map, what: str) -> bool:
    """The rules that join several keys of one metric, and Prometheus' rules for names."""
    before = len(check.problems)
    name, kind = row["name"], row["kind"]
    if (kind == "counter") != name.endswith("_total"):
        check.add(row, "name", f"{what} is a {kind}", "counters, and only they, end in _total")
    if kind == "histogram" and not name.endswith("_seconds"):
        check.add(
            row,
            "name",
            f"{what} is a histogram",
            "histograms measure time: end the name in _seconds",
        )
    if name.removesuffix("_total").endswith(_WRONG_UNITS):
        check.add(
            row,
            "name",
            f"{what} ends in a unit or suffix that Prometheus does not want",
            "use base units: _seconds, _bytes, _ratio",
        )
    if bool(row.get("labels")) != ("series_max" in row):
        check.add(
            row,
            None,
            f"{what}: labels and series_max belong together",
            "bound the label values' combinations by series_max, or remove it where there are no labels",
        )
    if any(each in ("le", "job", "instance") for each in row.get("labels", [])):
        check.add(
            row, "labels", f"{what} has a label that Prometheus sets", "rename le, job, instance"
        )
    if "all" in row["process"] and len(row["process"]) > 1:
        check.add(row, "process", f"{what} is of all and of others", "keep [all]")
    bounds = row.get("bounds_us")
    if bounds is not None:
        if kind != "histogram":
            check.add(row, "bounds_us", f"{what} is a {kind}", "only histograms have bounds_us")
        elif (
            not 1 <= len(bounds) <= 32
            or not all(type(each) is int and each > 0 for each in bounds)
            or any(low >= high for low, high in zip(bounds, bounds[1:], strict=False))
        ):
            check.add(
                row,
                "bounds_us",
                f"the bounds of {what} are not 1 to 32 ascending whole numbers",
                "write upper bounds in microseconds",
            )
    return len(check.problems) == before
