"""Whether the rows of an outbox are what schemas/events.yaml declares: an independent look at what services have written.

list(violations(stack.connect("orders"), "orders")) == []
"""

import re
import sys
from datetime import datetime

from .stack import ROOT

sys.path.insert(0, str(ROOT / "schemas"))

from gen import meta

ULID = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
KINDS = {
    "bool": bool,
    "int": int,
    "float": (int, float),
    "str": str,
    "enum": str,
    "time": str,
    "bytes": str,
    "list": list,
    "map": dict,
    "any": object,
    "record": dict,
}


def violations(connection, service):
    """What is wrong with the service's outbox, in words: names, payloads, and the numbers of each aggregate."""
    events = {
        each.type: each for each in meta.read(ROOT / "schemas").events if each.service == service
    }
    last = {}
    rows = connection.execute(
        "SELECT id, type, aggregate, sequence, payload FROM outbox ORDER BY aggregate, sequence"
    )
    for row_id, kind, aggregate, sequence, payload in rows:
        if not re.fullmatch(f"evt_{ULID}", row_id):
            yield f"{row_id} is no id of an event"
        if sequence != last.get(aggregate, 0) + 1:
            yield f"{aggregate}: {sequence} follows {last.get(aggregate, 0)}"
        last[aggregate] = sequence
        if kind not in events:
            yield f"{kind} is not declared by {service}"
            continue
        for wrong in record(events[kind].payload, payload):
            yield f"{kind} of {aggregate}: {wrong}"


def record(one, value, path=""):
    """What is wrong with an object, compared with its type. Fields that the type does not know are wrong too."""
    known = {each.name: each for each in one.fields}
    for name in value.keys() - known.keys():
        yield f"{path}{name} is not declared"
    for name, field in known.items():
        if name in value:
            yield from check(field, value[name], f"{path}{name}")
        elif field.required:
            yield f"{path}{name} is missing"


def check(field, value, path):
    if value is None:
        if not field.nullable:
            yield f"{path} is null"
        return
    right = isinstance(value, KINDS[field.kind])
    if not right or (isinstance(value, bool) and field.kind not in ("bool", "any")):
        yield f"{path} is {value!r}, no {field.kind}"
    elif field.kind == "enum" and value not in field.values:
        yield f"{path} is {value}, none of {', '.join(field.values)}"
    elif field.kind == "time" and not is_time(value):
        yield f"{path} is {value}, no time in UTC"
    elif field.kind == "record":
        yield from record(field.type, value, f"{path}.")
    elif field.kind == "list":
        for at, each in enumerate(value):
            yield from (
                record(field.item.type, each, f"{path}[{at}].")
                if field.item.type
                else check(field.item, each, f"{path}[{at}]")
            )


def is_time(text):
    try:
        return text.endswith("Z") and datetime.fromisoformat(text) is not None
    except ValueError:
        return False
