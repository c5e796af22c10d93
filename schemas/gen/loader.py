"""A strict reader of YAML.

PyYAML follows YAML 1.1: it takes NO for false, 12:30 for 750 and the last of two equal keys. This reader works on the
parser's events, knows null, true, false, decimal integers and decimal fractions, takes every other plain scalar as text, and
refuses what another reader would take for something else. Mappings and sequences remember their lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NoReturn

import yaml

_INT = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?")
_TRAP = re.compile(
    r"(?i:y|yes|n|no|on|off|true|false|null|~|<<|=|[-+]?\.(inf|nan))"
    r"|[-+]?[0-9][0-9_,]*(:[0-9]{1,2})+(\.[0-9]*)?"  # sexagesimal
    r"|[-+]?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|[-+]?\.[0-9_]+"  # 007, 1_000, +1, 1e3, 1.
    r"|[-+]?0[xXobOB][0-9a-fA-F_]+"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?"
)


class Problem(Exception):
    """What is wrong with the schemas: lines of `file:line: what is wrong; how to mend it`."""

    def __init__(self, lines: list[str]):
        super().__init__("\n".join(lines))
        self.lines = lines


class Map(dict[str, Any]):
    """A mapping that knows its file, its line and the line of each key; keys of a part know their own file."""

    def __init__(self, file: str, line: int):
        super().__init__()
        self.file, self.line, self.lines = file, line, dict[str, int]()
        self.files: dict[str, str] = {}

    def place_of(self, key: str) -> str:
        """Where the key stands, as file:line."""
        return f"{self.files.get(key, self.file)}:{self.lines.get(key, self.line)}"

    def absorb(self, part: Map) -> list[str]:
        """Takes over the keys of a part of it in another file; returns those that were there already."""
        twice = [key for key in part if key in self]
        for key in part:
            if key not in twice:
                self[key], self.lines[key], self.files[key] = part[key], part.lines[key], part.file
        return twice


class Seq(list[Any]):
    """A sequence that knows its file, its line and the line of each item."""

    def __init__(self, file: str, line: int):
        super().__init__()
        self.file, self.line, self.lines = file, line, list[int]()


class _Reader:
    def __init__(self, file: str, text: str):
        self.file = file
        self.events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))

    def fail(self, mark: Any, what: str) -> NoReturn:
        raise Problem([f"{self.file}:{mark.line + 1}: {what}"])

    def next(self) -> Any:
        event: Any = next(self.events)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            self.fail(event.start_mark, "anchors and aliases are not allowed; write the value out")
        if getattr(event, "tag", None):
            self.fail(event.start_mark, f"the tag {event.tag} is not allowed; remove it")
        return event

    def document(self) -> Map:
        self.next()  # stream start
        event = self.next()
        if not isinstance(event, yaml.DocumentStartEvent):
            raise Problem([f"{self.file}:1: the file is empty; write a mapping"])
        root = self.value(self.next())
        if not isinstance(root, Map):
            raise Problem([f"{self.file}:1: the file has to hold a mapping; begin it with `key:`"])
        self.next()  # document end
        event = self.next()
        if isinstance(event, yaml.DocumentStartEvent):
            self.fail(event.start_mark, "a second document begins; keep one in each file")
        return root

    def value(self, event: Any) -> Any:
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(event)
        return self.scalar(event)

    def mapping(self, start: Any) -> Map:
        ret = Map(self.file, start.start_mark.line + 1)
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            key = self.value(event)
            if not isinstance(key, str):
                self.fail(event.start_mark, "a key has to be text; quote it")
            if key in ret:
                self.fail(
                    event.start_mark,
                    f"the key {key} stands twice; remove one (the first is on line {ret.lines[key]})",
                )
            ret.lines[key] = event.start_mark.line + 1
            ret[key] = self.value(self.next())
        return ret

    def sequence(self, start: Any) -> Seq:
        ret = Seq(self.file, start.start_mark.line + 1)
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            ret.lines.append(event.start_mark.line + 1)
            ret.append(self.value(event))
        return ret

    def scalar(self, event: Any) -> Any:
        text = event.value
        if event.style not in (None, ""):  # quoted or a block
            return text
        if text == "":
            self.fail(event.start_mark, 'a value is missing; write it, or null, or ""')
        if text in ("null", "true", "false"):
            return {"null": None, "true": True, "false": False}[text]
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        if _TRAP.fullmatch(text):
            self.fail(
                event.start_mark,
                f"{text} means different things to different YAML readers; quote it, or write a plain number, true, false or null",
            )
        return text


def load(path: Path) -> Map:
    """The mapping that the file holds. Raises Problem."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise Problem([f"{path.name}:1: cannot be read ({err}); make it a UTF-8 file"]) from err
    try:
        return _Reader(path.name, text).document()
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        line = mark.line + 1 if mark else 1
        raise Problem([f"{path.name}:{line}: not YAML: {err.problem}; mend the syntax"]) from err
