"""The shape of a mapping, as data, and one function that checks it."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any

from .loader import Map, Problem, Seq

_KINDS: dict[str, tuple[Any, str]] = {
    "text": ((str,), "text; quote it"),
    "int": ((int,), "a whole number"),
    "number": ((int, float), "a number"),
    "bool": ((bool,), "true or false"),
    "map": ((Map,), "a mapping {...}"),
    "seq": ((Seq,), "a list [...]"),
    "texts": ((Seq,), "a list of texts [...]"),
    "any": ((str, int, float, bool, Map, Seq, type(None)), "a value"),
    "auth": ((str, Map), 'none, optional, guest, user or {scope: "..."}'),
}


@dataclass
class Key:
    kind: str
    required: bool = False
    values: tuple[str, ...] = ()
    pattern: str | None = None
    low: int | None = None
    high: int | None = None


class Checker:
    """Collects problems, so that one run names all of them."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def add(self, node: Map | Seq, key: str | int | None, what: str, fix: str) -> None:
        if isinstance(key, str) and isinstance(node, Map):
            place = node.place_of(key)
        elif isinstance(key, int) and isinstance(node, Seq):
            place = f"{node.file}:{node.lines[key]}"
        else:
            place = f"{node.file}:{node.line}"
        self.problems.append(f"{place}: {what}; {fix}")

    def finish(self) -> None:
        if self.problems:
            raise Problem(self.problems)

    def shape(self, node: Any, shape: dict[str, Key], what: str) -> bool:
        """Tells whether every key is known, there when required, and of its kind."""
        before = len(self.problems)
        for key in node:
            if key not in shape:
                near = difflib.get_close_matches(key, shape, 1)
                fix = f"did you mean {near[0]}?" if near else f"known are {', '.join(shape)}"
                self.add(node, key, f"{what} has the unknown key {key}", fix)
        for key, rule in shape.items():
            if key in node:
                self.value(node, key, rule, what)
            elif rule.required:
                self.add(node, None, f"{what} has no {key}", f"add {key}: {_KINDS[rule.kind][1]}")
        return len(self.problems) == before

    def value(self, node: Map, key: str, rule: Key, what: str) -> None:
        value = node[key]
        types, said = _KINDS[rule.kind]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            self.add(node, key, f"{key} of {what} is {value!r}", f"make it {said}")
        elif rule.kind == "texts" and not all(isinstance(each, str) for each in value):
            self.add(node, key, f"{key} of {what} holds what is not text", "quote each item")
        elif rule.kind == "texts" and len(set(value)) != len(value):
            self.add(node, key, f"{key} of {what} holds a value twice", "remove one")
        elif rule.kind == "text" and not value.strip():
            self.add(node, key, f"{key} of {what} is empty", "write a text")
        else:
            self.bounds(node, key, rule, what)

    def bounds(self, node: Map, key: str, rule: Key, what: str) -> None:
        value = node[key]
        for each in value if rule.kind == "texts" else [value]:
            if rule.values and each not in rule.values:
                self.add(
                    node, key, f"{key} of {what} is {each}", f"take one of {', '.join(rule.values)}"
                )
            elif rule.pattern and isinstance(each, str) and not re.fullmatch(rule.pattern, each):
                self.add(
                    node, key, f"{key} of {what} is {each!r}", f"it has to match {rule.pattern}"
                )
        if isinstance(value, int) and not isinstance(value, bool):
            if rule.low is not None and value < rule.low:
                self.add(
                    node, key, f"{key} of {what} is {value}", f"it has to be at least {rule.low}"
                )
            if rule.high is not None and value > rule.high:
                self.add(
                    node, key, f"{key} of {what} is {value}", f"it has to be at most {rule.high}"
                )
