"""Markdown for people, and .env.example."""

from __future__ import annotations

from . import emit_machine, examples
from .emit_openapi import method_errors
from .model import Field, Machine, Method, Project, Setting, Type

DOCS_NOTE = "<!-- Generated from schemas/ by `make docs`. Do not edit. -->\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]) + "\n"


def _link(one: Type) -> str:
    return f"[{one.name}](#{anchor(one)})"


def anchor(one: Type) -> str:
    return f"type-{one.c}".replace("_", "-")


def _kind(one: Field) -> str:
    """Of a field in words: kind, bounds, format."""
    if one.kind == "list" and one.item:
        text = f"list of {_kind(one.item)}"
    elif one.item:
        text = f"{one.kind} of {_kind(one.item)}"
    else:
        text = _link(one.type) if one.type else one.kind
    if one.values:
        return text + ": " + ", ".join(f"`{each}`" for each in one.values)
    if one.prefix:
        return f"id `{one.prefix}...`"
    if one.format:
        text += f" ({one.format})"
    return text + _bounds(one)


def _bounds(one: Field) -> str:
    if one.min is None and one.max is None:
        return ""
    unit = {
        "str": " characters",
        "bytes": " bytes",
        "list": " items",
        "map": " entries",
        "multimap": " values",
    }.get(one.kind, "")
    low, high = one.min if one.min is not None else 0, one.max
    if high is None:
        return f", at least {low}{unit}"
    if one.kind not in ("int", "float") and not low:
        return f", at most {high}{unit}"
    return f", {high}{unit}" if low == high else f", {low} to {high}{unit}"


def _remarks(one: Field) -> str:
    parts = [one.description]
    if one.nullable:
        parts.append("May be null.")
    if one.unique:
        parts.append("No value twice.")
    if one.default is not None:
        parts.append(f"Default: `{examples.compact(one.default)}`.")
    return " ".join(parts)


def field_table(fields: list[Field], with_source: bool) -> str:
    rows = []
    for each in fields:
        where = (
            [f"{each.source} `{each.source_name}`" if each.source_name else "body"]
            if with_source
            else []
        )
        rows.append(
            [f"`{each.name}`", *where, _kind(each), "yes" if each.required else "", _remarks(each)]
        )
    return table(["field", *(["in"] if with_source else []), "type", "required", "meaning"], rows)


_AUTH = {
    "none": "For anybody.",
    "optional": "For anybody; credentials are taken when they are sent.",
    "guest": "For guests and users.",
    "user": "For users.",
    "scope": "Scope: `{scope}`.",
}


def json_block(value: object) -> str:
    return "```json\n" + examples.compact(value) + "\n```\n"


def _method(project: Project, one: Method) -> str:
    keys = {"none": "is not read", "optional": "is understood", "required": "is required"}
    out = [f"### {one.service}.{one.name}\n"]
    out += [f"`{each.verb} {each.path}`  " for each in one.http]
    out.append(f"\n{one.summary}." + (f" {one.description}" if one.description else "") + "\n")
    facts = [
        _AUTH[one.auth].format(scope=one.scope),
        f"Class {one.cls}, priority {one.priority}.",
        f"Idempotency-Key {keys[one.key]}.",
        f"Answers within {one.timeout_ms} ms.",
    ]
    if one.request_bytes_max:
        facts.append(f"The body has at most {one.request_bytes_max} bytes.")
    if one.request.body_fields_min:
        facts.append(
            f"It has at least {one.request.body_fields_min} field{'s' if one.request.body_fields_min > 1 else ''}."
        )
    if one.etag:
        more = f", with `-{one.etag_more}` behind it when that is there" if one.etag_more else ""
        facts.append(f"The ETag is the reply's `{one.etag}`{more}.")
    if one.location:
        facts.append(f"Location: `{one.location}`.")
    if one.next:
        facts.append(f"Link carries the next page (`{one.next}`).")
    if one.calls:
        facts.append("Calls " + ", ".join(f"`{each}`" for each in one.calls) + ".")
    out.append(" ".join(facts) + "\n")
    if one.request.fields:
        out.append("Request:\n\n" + field_table(one.request.fields, True))
        if one.request.of_source("body"):
            out.append(json_block(examples.of_type(one.request, "body")))
    if one.reply_named:
        out.append(f"Reply: {one.status} with {_link(one.reply)}.\n")
    elif one.reply.fields:
        out.append(f"Reply: {one.status}\n\n" + field_table(one.reply.fields, False))
        out.append(json_block(examples.of_type(one.reply)))
    else:
        out.append(f"Reply: {one.status}, empty.\n")
    codes = one.errors + sorted(
        {each.missing for each in one.request.fields if each.missing != "validation"}
        - set(one.errors)
    )
    if codes:
        out.append(
            "Errors of its own: "
            + ", ".join(f"`{each}` ({project.error(each).status})" for each in codes)
            + ".\n"
        )
    return "\n".join(out)


def _who(project: Project) -> str:
    """Credentials, scopes and roles."""
    scopes = table(
        ["scope", "allows"], [[f"`{each.name}`", each.description] for each in project.scopes]
    )
    roles = table(
        ["role", "meaning", "scopes"],
        [
            [
                each.name,
                each.description,
                ", ".join("all" if scope == "*" else f"`{scope}`" for scope in each.scopes)
                or "none",
            ]
            for each in project.roles
        ],
    )
    return (
        "## Credentials\n\n"
        "`Authorization: Bearer` with one of: a user's access token (a JWT), a guest token (`gst....`), an API key (`souk_...`). A scope is had by an API "
        "key that was given it, and by a user with a role that has it. 401: no credentials, or bad ones; 403: good ones, but not for this. "
        "Where a method is for anybody, credentials are not looked at.\n\n" + scopes + "\n" + roles
    )


def _machine(one: Machine) -> str:
    """A state machine as a table."""
    out = [
        f"### States: {one.name}\n\n{one.description}\n",
        table(["state", "meaning", "moves"], emit_machine.rows(one)),
    ]
    if moves := emit_machine.moves(one):
        out.append(table(["move", "meaning"], moves))
    return "\n".join(out)


def reference(project: Project) -> str:
    served = [each for each in project.services if each.methods]
    index = table(
        ["method", "HTTP", "what it does"],
        [
            [
                f"[{one.service}.{one.name}](#{one.service}{one.name})",
                "<br>".join(f"`{each.verb} {each.path}`" for each in one.http) or "bus only",
                one.summary,
            ]
            for one in project.methods()
        ],
    )
    common = [
        each
        for each in project.errors
        if served and all(each in method_errors(project, one) for one in project.methods())
    ]
    out = [
        DOCS_NOTE,
        "# API reference\n",
        "Every method, over HTTP and on the bus (`docs/protocol.md`). The same as an OpenAPI 3.1 document: "
        "[openapi.json](openapi.json), served at `/openapi.json`. Errors are problem documents (RFC 9457) with a stable `code`: "
        "[errors](../errors.md). Unknown query parameters and unknown fields in bodies are refused; replies may gain fields.\n",
        index,
        _who(project),
        "Any method may answer: " + ", ".join(f"`{each.code}`" for each in common) + ".\n",
    ]
    for service in served:
        out.append(f"## {service.name}\n\n{service.description}\n")
        out += [_machine(each) for each in service.machines]
        out += [_method(project, each) for each in service.methods]
    out.append("## Types\n")
    types = [*project.types, *(each for service in project.services for each in service.types)]
    for one in [each for each in types if not each.stored]:
        title = one.name if one.service == "souk" else f"{one.service}: {one.name}"
        out.append(
            f'<a id="{anchor(one)}"></a>\n\n### {title}\n\n{one.description}\n\n'
            + field_table(one.fields, False)
        )
    return "\n".join(out)


def _setting_default(one: Setting) -> str:
    return f"`{one.default_text}`" if one.default_text else "empty"


def _setting_allowed(one: Setting) -> str:
    if one.values:
        return ", ".join(f"`{each}`" for each in one.values)
    unit = " characters" if one.kind == "str" else f" {one.unit}" if one.unit else ""
    return "true, false" if one.kind == "bool" else f"{one.min} to {one.max}{unit}"


def configuration(project: Project) -> str:
    out = [
        DOCS_NOTE,
        "# Configuration\n",
        "A setting's value is its flag's, else its environment variable's, else the default. Secrets have no flag. `--help` lists a program's "
        "settings, `--print-config` prints the values in force with secrets as `***`.\n",
    ]
    titles = {
        "gateway": "souk-gateway",
        "broker": "souk-broker",
        "worker": "souk-worker",
        "soukctl": "soukctl",
        "local": "The local stack (`make up`)",
    }
    for process, title in titles.items():
        rows = [
            [
                f"`{one.env}`",
                f"`--{one.flag}`" if one.flag and process != "local" else "",
                _setting_allowed(one),
                _setting_default(one),
                one.description + (" Secret." if one.secret else ""),
            ]
            for one in project.settings
            if process in one.process
        ]
        if rows:
            out.append(
                f"## {title}\n\n"
                + table(["variable", "flag", "allowed", "default", "meaning"], rows)
            )
    return "\n".join(out)


def env_example(project: Project) -> str:
    out = [
        "# Generated from schemas/config.yaml by `make docs`. Do not edit: copy it to .env and uncomment there.\n"
    ]
    for one in project.settings:
        allowed = "" if one.kind == "str" else f" ({_setting_allowed(one).replace('`', '')})"
        value = (
            f'"{one.default_text}"' if set(one.default_text) & set(" #\"'$&;") else one.default_text
        )
        out.append(f"# {', '.join(one.process)}: {one.description}{allowed}\n#{one.env}={value}\n")
    return "\n".join(out)


def metrics(project: Project) -> str:
    rows = []
    for one in project.metrics:
        rows.append(
            [
                f"`{one.name}`",
                one.kind,
                ", ".join(f"`{each}`" for each in one.labels),
                ", ".join(one.process),
                str(one.series_max),
                one.help,
            ]
        )
    return (
        f"{DOCS_NOTE}\n# Metrics\n\nEvery process prints its metrics at `/metrics` of its admin endpoint, in Prometheus' text format. Beyond a metric's "
        "bound of series, updates go to one series whose label values are all `other`.\n\n"
        + table(["name", "kind", "labels", "process", "series at most", "meaning"], rows)
    )


def errors(project: Project) -> str:
    rows = [
        [
            f"`{one.code}`",
            str(one.number),
            str(one.status),
            "yes" if one.retry else "",
            f"{one.title}." + (f" {one.description}" if one.description else ""),
        ]
        for one in project.errors
        if one.public
    ]
    inner = [
        [f"`{one.code}`", str(one.number), f"{one.title}."]
        for one in project.errors
        if not one.public
    ]
    return (
        f"{DOCS_NOTE}\n# Errors\n\nEvery error that a client can meet: the `code` of a problem document (its `type` is `urn:souk:error:CODE`) and of ERR envelopes. Codes and numbers are never "
        "reused. Where an answer may be better later, it has Retry-After.\n\n"
        + table(["code", "number", "HTTP status", "Retry-After", "meaning"], rows)
        + "\nThese stay inside a process; a client sees `internal`.\n\n"
        + table(["code", "number", "meaning"], inner)
    )
