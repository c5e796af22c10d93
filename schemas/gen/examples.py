"""Examples as values, from the fields' own examples, and their encodings."""

from __future__ import annotations

import base64
import datetime
import json
import struct
from typing import Any

from .model import Field, Type

TIME = "2026-11-24T10:00:00Z"


def of_field(one: Field) -> Any:
    """A value that the field allows: its example, else the least remarkable one."""
    if one.example is not None:
        return one.example
    if one.kind == "list":
        assert one.item is not None
        return [of_field(one.item)] * max(1, int(one.min or 0))
    if one.kind == "int":
        return int(
            min(
                max(1, one.min if one.min is not None else 1), one.max if one.max is not None else 1
            )
        )
    if one.kind == "float":
        return float(
            min(
                max(1, one.min if one.min is not None else 1), one.max if one.max is not None else 1
            )
        )
    return {
        "bool": True,
        "enum": one.values[0] if one.values else None,
        "time": TIME,
        "record": of_type(one.type) if one.type else None,
    }[one.kind]


def of_type(one: Type, *sources: str) -> dict[str, Any]:
    """All its fields, or those from the sources."""
    return {
        each.name: of_field(each) for each in one.fields if not sources or each.source in sources
    }


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def texts(one: Field) -> list[tuple[str, str]]:
    """The (key, text) pairs that bring a path, query or header field's example: the key is the part of a multimap's parameter behind its dot."""
    value = of_field(one)
    if one.kind == "multimap":
        return [(key, each) for key, many in value.items() for each in many]
    return [
        ("", each if isinstance(each, str) else compact(each))
        for each in (value if one.kind == "list" else [value])
    ]


def mp_type(one: Type, value: dict[str, Any]) -> bytes:
    """The canonical msgpack map: fields in the order of their declaration, everything in its shortest form."""
    fields = [each for each in one.fields if each.name in value]
    return _head(len(fields), 0x80, 15, (None, 0xDE, 0xDF)) + b"".join(
        mp_value(each.name) + mp_field(each, value[each.name]) for each in fields
    )


def mp_field(one: Field, value: Any) -> bytes:
    if value is None:
        return b"\xc0"
    if one.kind == "record":
        assert one.type is not None
        return mp_type(one.type, value)
    if one.kind == "list":
        assert one.item is not None
        return _head(len(value), 0x90, 15, (None, 0xDC, 0xDD)) + b"".join(
            mp_field(one.item, each) for each in value
        )
    if one.kind == "time":
        return _time(value)
    if one.kind == "bytes":
        data = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        return _head(len(data), 0, -1, (0xC4, 0xC5, 0xC6)) + data
    if one.kind == "float":
        return b"\xcb" + struct.pack(">d", value)
    if one.format == "etag":
        return mp_value(value.strip('"'))
    return mp_value(value)


def mp_value(value: Any) -> bytes:
    """Any value without a type."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        return _int(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        return _head(len(data), 0xA0, 31, (0xD9, 0xDA, 0xDB)) + data
    if isinstance(value, list):
        return _head(len(value), 0x90, 15, (None, 0xDC, 0xDD)) + b"".join(map(mp_value, value))
    return _head(len(value), 0x80, 15, (None, 0xDE, 0xDF)) + b"".join(
        mp_value(each) for pair in value.items() for each in pair
    )


def _head(size: int, fix: int, fix_max: int, codes: tuple[int | None, int, int]) -> bytes:
    if size <= fix_max:
        return bytes([fix | size])
    if codes[0] is not None and size < 1 << 8:
        return struct.pack(">BB", codes[0], size)
    return (
        struct.pack(">BH", codes[1], size) if size < 1 << 16 else struct.pack(">BI", codes[2], size)
    )


def _int(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack(">b", value) if value < 0 else bytes([value])
    formats = "BHIQ" if value >= 0 else "bhiq"
    for at, each in enumerate(formats):
        bits = 8 << at
        if (value < 1 << bits) if value >= 0 else (value >= -(1 << (bits - 1))):
            return bytes([(0xCC if value >= 0 else 0xD0) + at]) + struct.pack(">" + each, value)
    raise ValueError(value)


def _time(text: str) -> bytes:
    """The timestamp extension."""
    when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) - datetime.datetime(
        1970, 1, 1, tzinfo=datetime.UTC
    )
    seconds, nanos = when.days * 86400 + when.seconds, when.microseconds * 1000
    if nanos == 0 and 0 <= seconds < 1 << 32:
        return b"\xd6\xff" + struct.pack(">I", seconds)
    if 0 <= seconds < 1 << 34:
        return b"\xd7\xff" + struct.pack(">Q", nanos << 34 | seconds)
    return b"\xc7\x0c\xff" + struct.pack(">Iq", nanos, seconds)
