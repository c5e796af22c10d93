"""The meta-schema of events.yaml: what services tell others by rows of their outbox."""

from __future__ import annotations

from .check import Checker, Key
from .loader import Map
from .meta_rows import rows, unique
from .meta_service import NAME, Types
from .model import Event, Project, Type

_EVENT = {
    "type": Key("text", True, pattern=r"[a-z][a-z0-9_]{0,31}\.[a-z][a-z0-9_]{0,31}"),
    "service": Key("text", True, pattern=NAME),
    "aggregate": Key("text", True, pattern=NAME),
    "description": Key("text", True),
    "payload": Key("map", True),
}


def events(check: Checker, root: Map, types: Types, project: Project) -> None:
    """Reads events.yaml into the project, whose services are there already."""
    seen: dict[object, int] = {}
    services = {each.name: each for each in project.services}
    for _, _, row in rows(check, root, "events"):
        said = f"event {row.get('type', '?')}"
        if not check.shape(row, _EVENT, said):
            continue
        unique(check, seen, row, "type", row["type"], "the event")
        service = services.get(row["service"])
        if service is None:
            check.add(
                row,
                "service",
                f"{said} is of the unknown service {row['service']}",
                f"services are {', '.join(services)}",
            )
            continue
        if row["type"].partition(".")[0] != row["aggregate"]:
            check.add(
                row,
                "aggregate",
                f"{said} is about the aggregate {row['aggregate']}",
                "its type begins with the aggregate: order.placed is about an order",
            )
        scope = {**types.shared, **{each.name: each for each in service.types}}
        payload = Type(
            row["type"].replace(".", "_"),
            service.name,
            row["description"],
            types.fields(row["payload"], scope, said, "reply"),
        )
        for each in payload.fields:
            if each.encoded or each.kind == "multimap":
                check.add(
                    row["payload"],
                    each.name,
                    f"field {each.name} of {said} is {'encoded' if each.encoded else 'a multimap'}",
                    "a payload is JSON as it stands in the outbox",
                )
        project.events.append(
            Event(row["type"], service.name, row["aggregate"], row["description"], payload)
        )
