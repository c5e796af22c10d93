"""The meta-schema of types.yaml and of the services: fields, types, methods."""

from __future__ import annotations

import re
from typing import Any

from .check import Checker, Key
from .loader import Map, Seq
from .model import Field, Type

NAME = "[a-z][a-z0-9_]{0,31}"
ENVELOPE_BYTES_MAX = 1048576  # body of one envelope: docs/protocol.md
INT_MAX = 9007199254740991  # what every JSON reader keeps exactly
FORMATS = ("slug", "sku", "currency", "id", "token", "etag", "url", "email", "line", "text")
_COMMON = ("type", "required", "nullable", "description", "example", "from", "name", "missing")
# The keys that a kind has beside the common ones.
_KEYS: dict[str, tuple[str, ...]] = {
    "bool": ("default",),
    "int": ("min", "max", "default"),
    "float": ("min", "max"),
    "str": ("min", "max", "format", "prefix", "default"),
    "enum": ("values", "default"),
    "time": (),
    "bytes": ("min", "max"),
    "list": ("item", "min", "max", "unique", "encoded"),
    "map": ("item", "min", "max"),
    "multimap": ("item", "min", "max"),
    "any": (),
    "record": ("encoded",),
}
_ITEMS = {"list": ("str", "int", "record"), "map": ("str",), "multimap": ("str",)}
_SOURCES: dict[str, tuple[str, ...]] = {
    "path": ("str", "int"),
    "header": ("str", "int"),
    "query": ("bool", "int", "float", "str", "enum", "time", "list", "multimap"),
}
_FIELD = {
    "type": Key("text", True),
    "min": Key("number"),
    "max": Key("number"),
    "required": Key("bool"),
    "nullable": Key("bool"),
    "default": Key("any"),
    "format": Key("text", values=FORMATS),
    "prefix": Key("text", pattern="[a-z]{1,8}_"),
    "values": Key("texts", pattern="-?[a-z][a-z0-9_]{0,39}"),
    "item": Key("map"),
    "unique": Key("bool"),
    "encoded": Key("bool"),
    "from": Key("text", values=("path", "query", "header")),
    "name": Key("text", pattern="[A-Za-z][A-Za-z0-9_-]{0,63}"),
    "missing": Key("text"),
    "description": Key("text", True),
    "example": Key("any"),
}
_ITEM = {key: _FIELD[key] for key in ("type", "min", "max", "format", "prefix")}
_TYPE = {"description": Key("text", True), "fields": Key("map", True), "stored": Key("bool")}
_C_WORDS = re.compile(
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|inline|int|long|register"
    "|restrict|return|short|signed|sizeof|static|struct|switch|typedef|union|unsigned|void|volatile|while|bool|true|false"
    "|asm|bits|self"
)


class Types:
    """The types that fields may name: the shared ones, then a service's own."""

    def __init__(self, check: Checker):
        self.check = check
        self.shared: dict[str, Type] = {}
        self.nodes: dict[int, tuple[Map, Map]] = {}  # id(Type) -> its fields' mapping and its own
        self.used: set[int] = set()
        self.service = ""

    def read(self, root: Map, service: str) -> dict[str, Type]:
        """The types of `types:` in an order in which each stands behind those that it holds."""
        check, nodes = self.check, root.get("types", {})
        self.service = service
        own: dict[str, Type] = {}
        for name, node in nodes.items():
            if not re.fullmatch(NAME, name) or re.search("_(req|rep|call)$", name):
                check.add(
                    nodes,
                    name,
                    f"{name} is no name of a type",
                    f"match {NAME}, without _req, _rep, _call at the end",
                )
            if name in _KEYS or (service != "souk" and name in self.shared):
                check.add(nodes, name, f"{name} is a kind or a shared type", "take another name")
            if not isinstance(node, Map) or not check.shape(node, _TYPE, f"type {name}"):
                if not isinstance(node, Map):
                    check.add(
                        nodes, name, f"type {name} is no mapping", "write description: and fields:"
                    )
                continue
            stored = node.get("stored", False)
            own[name] = Type(name, service, node["description"], [], stored=stored)
            if stored:
                self.used.add(id(own[name]))
        scope = {**self.shared, **own}
        for name, one in own.items():
            one.fields = self.fields(nodes[name]["fields"], scope, f"type {name}", "type")
            self.nodes[id(one)] = (nodes[name]["fields"], nodes[name])
        ordered: dict[str, Type] = {}
        for name in own:
            self._order(own, name, [], ordered, nodes)
        return ordered

    def of_method(self, node: Map, key: str, method: str, scope: dict[str, Type]) -> Type:
        """The request or reply of a method of the service that was read last."""
        fields = self.fields(node[key], scope, f"method {method}", key)
        ret = Type(f"{method}_{key[:3]}", self.service, node["summary"], fields)
        self.nodes[id(ret)] = (node[key], node)
        return ret

    def _order(
        self,
        own: dict[str, Type],
        name: str,
        above: list[str],
        ordered: dict[str, Type],
        nodes: Map,
    ) -> None:
        if name in above:
            self.check.add(
                nodes,
                name,
                f"the type {name} holds itself ({' -> '.join([*above, name])})",
                "refer by an id instead",
            )
        elif name not in ordered:
            for each in own[name].nested():
                if each.service == own[name].service:
                    self._order(own, each.name, [*above, name], ordered, nodes)
            ordered[name] = own[name]

    def fields(self, nodes: Map, scope: dict[str, Type], what: str, place: str) -> list[Field]:
        """The fields of a mapping. place: type, request or reply."""
        check, ret = self.check, list[Field]()
        if len(nodes) > 64:
            check.add(
                nodes,
                None,
                f"{what} has {len(nodes)} fields",
                "the engine knows 64: move some into a type",
            )
        for name, node in nodes.items():
            said = f"field {name} of {what}"
            if (
                not re.fullmatch("[a-z][a-z0-9_]{0,39}", name)
                or _C_WORDS.fullmatch(name)
                or name.startswith(("new_", "set_"))
            ):
                check.add(
                    nodes,
                    name,
                    f"{name} is no name of a field",
                    "match [a-z][a-z0-9_]*, no word of C, not new_ or set_",
                )
            if not isinstance(node, Map):
                check.add(
                    nodes, name, f"{said} is no mapping", "write {type: ..., description: ...}"
                )
            elif check.shape(node, _FIELD, said):
                one = self.field(node, name, scope, said)
                if one:
                    self.place(node, one, said, place)
                    one.bit = len(ret)
                    ret.append(one)
        return ret

    def field(self, node: Map, name: str, scope: dict[str, Type], what: str) -> Field | None:
        check, type_name = self.check, node["type"]
        kind = type_name if type_name in _KEYS and type_name != "record" else "record"
        if kind == "record" and type_name not in scope:
            check.add(
                node,
                "type",
                f"{what} has the unknown type {type_name}",
                f"kinds are {', '.join(_KEYS)}; or declare the type",
            )
            return None
        before = len(check.problems)
        for key in node:
            if key not in _COMMON and key not in _KEYS[kind]:
                check.add(
                    node,
                    key,
                    f"{what} is of kind {kind} and has {key}",
                    f"{kind} knows {', '.join(_KEYS[kind]) or 'none such'}",
                )
        record = scope[type_name] if kind == "record" else None
        if record:
            self.used.add(id(record))
        one = Field(
            name,
            kind,
            record,
            self.item(node, kind, scope, what),
            node.get("min"),
            node.get("max"),
            node.get("required", False),
            node.get("nullable", False),
            node.get("default"),
            node.get("format"),
            node.get("prefix"),
            list(node.get("values", [])),
            node.get("unique", False),
            node.get("encoded", False),
            node.get("from", "body"),
            node.get("name") or (name if "from" in node else None),
            node.get("missing", "validation"),
            node.get("description", ""),
            node.get("example"),
        )
        self.bounds(node, one, what)
        return one if len(check.problems) == before else None

    def item(self, node: Map, kind: str, scope: dict[str, Type], what: str) -> Field | None:
        if kind not in _ITEMS:
            return None
        if "item" not in node:
            self.check.add(node, None, f"{what} has no item", "add item: {type: ...}")
            return None
        if not self.check.shape(node["item"], _ITEM, f"the item of {what}"):
            return None
        one = self.field(node["item"], "", scope, f"the item of {what}")
        if one and one.kind not in _ITEMS[kind]:
            self.check.add(
                node,
                "item",
                f"{what} holds {one.kind}",
                f"a {kind} holds {' or '.join(_ITEMS[kind])}",
            )
        return one

    def bounds(self, node: Map, one: Field, what: str) -> None:
        """Bounds, values, formats and defaults that contradict each other."""
        check = self.check
        if one.min is not None and one.max is not None and one.min > one.max:
            check.add(node, "min", f"{what} has min {one.min} above max {one.max}", "swap them")
        for key in ("min", "max"):
            value = node.get(key)
            if value is None:
                continue
            if one.kind != "float" and not isinstance(value, int):
                check.add(node, key, f"{key} of {what} is {value}", "make it a whole number")
            elif one.kind == "int" and abs(value) > INT_MAX:
                check.add(
                    node,
                    key,
                    f"{key} of {what} is {value}",
                    f"JSON readers are exact up to {INT_MAX}",
                )
            elif one.kind not in ("int", "float") and value < 0:
                check.add(node, key, f"{key} of {what} is {value}", "a length is at least 0")
        if one.kind == "enum" and not 1 <= len(one.values) <= 64:
            check.add(node, "values", f"{what} has {len(one.values)} values", "give it 1 to 64")
        if (one.format == "id") != (one.prefix is not None):
            check.add(
                node, None, f"{what}: prefix and format: id belong together", "add or remove prefix"
            )
        if one.unique and (not one.item or one.item.kind != "str"):
            check.add(node, "unique", f"{what} is unique", "only lists of str are checked for that")
        if one.encoded and not (one.type or (one.item and one.item.type)):
            check.add(
                node,
                "encoded",
                f"{what} is encoded",
                "only a type, or a list of a type, travels encoded",
            )
        if "default" in node:
            if one.required:
                check.add(
                    node, "default", f"{what} is required and has a default", "remove one of both"
                )
            wrong = check_value(one, one.default)
            if wrong:
                check.add(
                    node,
                    "default",
                    f"the default of {what} {wrong}",
                    "take one that the field allows",
                )

    def place(self, node: Map, one: Field, what: str, place: str) -> None:
        """What a field may say because of where it stands."""
        check = self.check
        for key in (
            ("from", "name", "missing", "default")
            if place == "reply"
            else ("from", "name", "missing")
            if place == "type"
            else ()
        ):
            if key in node:
                check.add(node, key, f"{what} has {key}", "only a request's own fields have it")
        if place == "request":
            self.request_place(node, one, what)
        if "missing" in node and not one.required:
            check.add(
                node, "missing", f"{what} has missing but is not required", "add required: true"
            )
        kinds_with_example = ("str", "bytes", "map", "multimap", "any")
        if one.example is None and (
            one.kind in kinds_with_example or (one.item and not one.item.type)
        ):
            check.add(
                node,
                None,
                f"{what} has no example",
                f"add example: a {one.kind} that the field allows",
            )
        elif one.example is not None and (wrong := check_value(one, one.example)):
            check.add(
                node, "example", f"the example of {what} {wrong}", "take one that the field allows"
            )

    def request_place(self, node: Map, one: Field, what: str) -> None:
        check, source = self.check, one.source
        if "name" in node and source not in ("query", "header"):
            check.add(
                node, "name", f"{what} has a name", "only query parameters and headers have one"
            )
        if source == "body":
            if one.kind == "multimap":
                check.add(
                    node,
                    "type",
                    f"{what} is a multimap in the body",
                    "use a map, or add from: query",
                )
            return
        if one.kind not in _SOURCES[source] or (one.item and one.item.type):
            check.add(
                node,
                "from",
                f"{what} is of kind {one.kind}",
                f"{source} values are {', '.join(_SOURCES[source])} without types",
            )
        if one.nullable:
            check.add(node, "nullable", f"{what} is nullable", f"a {source} value cannot be null")
        if source == "header" and "name" not in node:
            check.add(node, None, f"{what} has no name", "add the header's name, as name: If-Match")

    def bounded(self, one: Type, seen: set[int], path: str) -> None:
        """Everything that comes from a client has bounds and is decoded."""
        if id(one) in seen:
            return
        seen.add(id(one))
        nodes = self.nodes[id(one)][0]
        for each in one.fields:
            need_min = each.kind in ("int", "float")
            item = each.item
            if each.kind not in ("bool", "enum", "time", "any", "record") and (
                each.max is None or (need_min and each.min is None)
            ):
                self.check.add(
                    nodes,
                    each.name,
                    f"field {each.name} of {path} comes from clients without bounds",
                    "add min: and max:" if need_min else "add max:",
                )
            elif (
                item
                and not item.type
                and (item.max is None or (item.kind == "int" and item.min is None))
            ):
                self.check.add(
                    nodes,
                    each.name,
                    f"the items of {each.name} of {path} come from clients without bounds",
                    "add min: and max: to the item",
                )
            if each.encoded:
                self.check.add(
                    nodes,
                    each.name,
                    f"field {each.name} of {path} is encoded",
                    "only replies are: remove it",
                )
            if nested := (item or each).type:
                self.bounded(nested, seen, f"type {nested.name}")


ULID = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
# What lib/src/schema_format.c takes, for both ECMA 262 and Python; hosts of URLs and mail addresses a little wider.
_HOST = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
PATTERNS = {
    "slug": "[a-z0-9]+(-[a-z0-9]+)*",
    "sku": "[A-Za-z0-9._-]+",
    "currency": "[A-Z]{3}",
    "token": "[!-~]+",
    "etag": r'"[!#-~]+"|\*',
    "url": r"(https?://[A-Za-z0-9.:\[\]-]+|/(?!/))([A-Za-z0-9._~!$&'()*+,;=:@/?#-]|%[0-9A-Fa-f]{2})*",
    "email": rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.-]{{1,64}}@({_HOST}\.)+{_HOST}",
    "line": r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]*",
    "text": r"[^\x00-\x08\x0b-\x1f\x7f-\x9f]*",
}
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z"


def check_value(one: Field, value: Any) -> str | None:
    """What is wrong with a default or an example, None when nothing."""
    if value is None:
        return None if one.nullable else "is null"
    kinds: dict[str, Any] = {
        "bool": (bool,),
        "int": (int,),
        "float": (int, float),
        "list": (Seq,),
        "map": (Map,),
        "multimap": (Map,),
        "record": (Map,),
        "any": (object,),
    }
    if not isinstance(value, kinds.get(one.kind, (str,))) or (
        isinstance(value, bool) and one.kind not in ("bool", "any")
    ):
        return f"is not of kind {one.kind}"
    if one.kind == "enum" and value not in one.values:
        return f"is none of {', '.join(one.values)}"
    if one.kind == "time" and not re.fullmatch(TIME, value):
        return "is no time such as 2026-11-24T10:00:00Z"
    if one.kind == "record":
        return _check_record(one, value)
    pattern = one.prefix + ULID if one.prefix else PATTERNS.get(one.format or "", r"[\s\S]*")
    if isinstance(value, str) and not re.fullmatch(pattern, value):
        return f"is not of format {one.format}"
    if one.kind in ("bool", "enum", "any"):
        return None
    parts: Any = (
        [each for many in value.values() for each in many] if one.kind == "multimap" else value
    )
    size: Any = parts if one.kind in ("int", "float") else len(parts)
    if one.format == "etag":
        size = len(value.strip('"'))
    if (one.min is not None and size < one.min) or (one.max is not None and size > one.max):
        return "is out of bounds"
    if one.item:
        for each in parts.values() if isinstance(parts, Map) else parts:
            if wrong := check_value(one.item, each):
                return f"has an item that {wrong}"
    return None


def _check_record(one: Field, value: Map) -> str | None:
    known = {each.name: each for each in one.type.fields} if one.type else {}
    for key, each in value.items():
        if key not in known:
            return f"has the unknown field {key}"
        if wrong := check_value(known[key], each):
            return f"has a field {key} that {wrong}"
    lacking = [each.name for each in known.values() if each.required and each.name not in value]
    return f"lacks {lacking[0]}" if lacking else None
