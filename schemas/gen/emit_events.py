"""C and Markdown of events."""

from __future__ import annotations

from .emit_c import NOTE, c_comment, c_rows, c_str, guard
from .emit_docs import DOCS_NOTE, anchor, field_table, json_block, table
from .examples import of_type
from .model import Project, Type


def events_h(project: Project) -> str:
    rows = "".join(f"    {each.enum}, /* {c_comment(each.type)} */\n" for each in project.events)
    return guard(
        "GEN_EVENTS_H",
        f"""#include "souk/event.h"

/* Indexes of souk_event_kinds. */
enum {{
{rows}    SOUK_EVENT_KINDS_COUNT,
}};
""",
    )


def events_c(project: Project) -> str:
    rows = [
        f"    [{each.enum}] = {{.type = {c_str(each.type)}, .service = {c_str(each.service)}, .aggregate = {c_str(each.aggregate)}}},\n"
        for each in project.events
    ]
    return (
        f'{NOTE}#include "gen/events.h"\n\n'
        f"const souk_event_kind_t souk_event_kinds[] = {{\n{c_rows(rows)}}};\n"
        "const size_t souk_event_kinds_count = SOUK_EVENT_KINDS_COUNT;\n"
    )


def files(project: Project) -> dict[str, str]:
    return {"include/gen/events.h": events_h(project), "src/events.c": events_c(project)}


def document(project: Project) -> str:
    out = [
        DOCS_NOTE,
        "# Events\n",
        "What services tell others. An event is a row of its service's `outbox`, written in the transaction of the change that it tells of: there is one exactly when the "
        "change was. `sequence` counts the events of one aggregate in the order of its changes. `payload` is JSON: the fields below, and perhaps others later. Who "
        "takes events takes each at least once, and knows it again by its `id`.\n",
        table(
            ["type", "service", "told when"],
            [
                [f"[{each.type}](#{each.type.replace('.', '')})", each.service, each.description]
                for each in project.events
            ],
        ),
    ]
    for each in project.events:
        out.append(
            f"## {each.type}\n\n{each.description}\n\nOf `{each.service}`; the aggregate is the {each.aggregate}.\n"
        )
        if each.payload.fields:
            out.append(field_table(each.payload.fields, False))
            out.append(json_block(of_type(each.payload)))
    nested: dict[int, Type] = {}
    for each in project.events:
        _reach(each.payload, nested)
    if nested:
        out.append("## Types\n")
    for one in nested.values():
        out.append(
            f'<a id="{anchor(one)}"></a>\n\n### {one.name}\n\n{one.description}\n\n'
            + field_table(one.fields, False)
        )
    return "\n".join(out)


def _reach(one: Type, found: dict[int, Type]) -> None:
    for each in one.nested():
        if id(each) not in found:
            found[id(each)] = each
            _reach(each, found)
