"""C that does not depend on a service: errors, configuration, metrics."""

from __future__ import annotations

from typing import Any

from .model import Project, Setting

NOTE = "/* Generated from schemas/ by schemas/gen. Do not edit. */\n"


def c_str(text: str | None) -> str:
    """A C string literal (or NULL). Bytes outside printable ASCII are octal escapes, so that a digit may follow."""
    if text is None:
        return "NULL"
    out = []
    for byte in text.encode():
        char = chr(byte)
        if char in '"\\':
            out.append("\\" + char)
        elif char == "?" and out and out[-1] == "?":
            out.append("\\?")
        elif 32 <= byte < 127:
            out.append(char)
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


def c_comment(text: str) -> str:
    """Text that stands in a comment."""
    return text.replace("*/", "* /").replace("/*", "/ *").replace("\n", " ")


def c_rows(rows: list[str]) -> str:
    """The rows of a table whose count stands beside it: C has no empty tables."""
    return "".join(rows) or "    {0},\n"


def guard(name: str, body: str) -> str:
    return f"{NOTE}#ifndef {name}\n#define {name}\n\n{body}\n#endif\n"


def c_bool(value: Any) -> str:
    return "true" if value else "false"


def err_h(project: Project) -> str:
    rows = "".join(
        f"    {each.enum} = {each.number}, /* {each.status}: {c_comment(each.title)} */\n"
        for each in project.errors
    )
    return guard(
        "SOUK_ERR_H",
        f"""#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {{
    SOUK_OK = 0,
{rows}}} souk_err_t;

typedef struct {{
    const char *code, *title;
    uint16_t status; /* of HTTP */
    bool retry;      /* the answer has Retry-After */
    bool is_public;  /* false: never leaves the process */
}} souk_err_info_t;

/* Never NULL: an unknown one is as SOUK_ERR_INTERNAL; SOUK_OK has the code "ok" and 200. */
const souk_err_info_t *souk_err_info(souk_err_t err);
/* The error with that code; SOUK_OK when there is none. */
souk_err_t souk_err_of_code(const char *code, size_t size);
/* The error that a violation of that PostgreSQL constraint is; SOUK_OK when none lists it. */
souk_err_t souk_err_of_constraint(const char *name);
""",
    )


def err_c(project: Project) -> str:
    rows = "".join(
        f"    {{{each.enum}, {len(each.code)}, {{{c_str(each.code)}, {c_str(each.title)}, {each.status}, "
        f"{c_bool(each.retry)}, {c_bool(each.public)}}}}},\n"
        for each in sorted(project.errors, key=lambda each: each.number)
    )
    constraints = sorted((name, each.enum) for each in project.errors for name in each.constraints)
    named = c_rows([f"    {{{c_str(name)}, {enum}}},\n" for name, enum in constraints])
    return f"""{NOTE}#include "souk/err.h"

#include <string.h>

typedef struct {{
    souk_err_t err;
    size_t code_size;
    souk_err_info_t info;
}} row_t;

/* By number. */
static const row_t s_rows[] = {{
{rows}}};

static const souk_err_info_t s_ok = {{"ok", "OK", 200, false, true}};

static const souk_err_info_t *s_find(souk_err_t err) {{
    size_t low = 0, high = sizeof(s_rows) / sizeof(s_rows[0]);
    while (low < high) {{
        size_t at = low + (high - low) / 2;
        if (s_rows[at].err == err) {{
            return &s_rows[at].info;
        }}
        if (s_rows[at].err < err) {{
            low = at + 1;
        }} else {{
            high = at;
        }}
    }}
    return NULL;
}}

const souk_err_info_t *souk_err_info(souk_err_t err) {{
    const souk_err_info_t *info = err == SOUK_OK ? &s_ok : s_find(err);
    return info != NULL ? info : s_find(SOUK_ERR_INTERNAL);
}}

souk_err_t souk_err_of_code(const char *code, size_t size) {{
    for (size_t i = 0; i < sizeof(s_rows) / sizeof(s_rows[0]); i++) {{
        if (s_rows[i].code_size == size && memcmp(s_rows[i].info.code, code, size) == 0) {{
            return s_rows[i].err;
        }}
    }}
    return SOUK_OK;
}}

/* By name. */
static const struct {{
    const char *name;
    souk_err_t err;
}} s_constraints[] = {{
{named}}};
static const size_t s_constraints_count = {len(constraints)};

souk_err_t souk_err_of_constraint(const char *name) {{
    size_t low = 0, high = s_constraints_count;
    while (low < high) {{
        size_t at = low + (high - low) / 2;
        int order = strcmp(s_constraints[at].name, name);
        if (order == 0) {{
            return s_constraints[at].err;
        }}
        if (order < 0) {{
            low = at + 1;
        }} else {{
            high = at;
        }}
    }}
    return SOUK_OK;
}}
"""


def _names(symbol: str, values: list[str]) -> str:
    """A table of names."""
    return (
        f"static const char *const {symbol}[] = {{{', '.join(c_str(each) for each in values)}}};\n"
    )


CONFIGURED = ("gateway", "broker", "worker", "soukctl")
_MEMBERS = {"str": "const char *", "int": "int64_t ", "bool": "bool ", "enum": "int32_t "}


def config_h(project: Project) -> str:
    parts = ['#include "souk/config.h"\n']
    enums = [
        each for each in project.settings if each.kind == "enum" and set(each.process) != {"local"}
    ]
    for each in enums:
        prefix = f"SOUK_CONFIG_{each.member.upper()}"
        parts.append(
            "enum {\n"
            + "".join(f"    {prefix}_{value.upper().replace('-', '_')},\n" for value in each.values)
            + "};\n"
        )
    for process in CONFIGURED:
        rows = [each for each in project.settings if process in each.process]
        parts.append(
            f"typedef struct souk_{process}_config {{\n"
            + "".join(
                f"    {_MEMBERS[each.kind]}{each.member}; /* {each.env} */\n" for each in rows
            )
            + f"}} souk_{process}_config_t;\n"
            f"extern const souk_config_row_t souk_{process}_config_rows[];\n"
            f"extern const size_t souk_{process}_config_rows_count;\n"
        )
    return guard("GEN_CONFIG_H", "\n".join(parts))


def config_c(project: Project) -> str:
    parts = [NOTE + '#include "gen/config.h"\n']
    for each in project.settings:
        if each.kind == "enum" and set(each.process) != {"local"}:
            parts.append(_names(f"s_{each.env.lower()}_names", each.values))
    for process in CONFIGURED:
        rows = [each for each in project.settings if process in each.process]
        parts.append(
            f"const souk_config_row_t souk_{process}_config_rows[] = {{\n"
            + "".join(_config_row(each, process) for each in rows)
            + "};\n"
            f"const size_t souk_{process}_config_rows_count = {len(rows)};\n"
        )
    return "\n".join(parts)


def _config_row(one: Setting, process: str) -> str:
    names = (
        f", .enum_names = s_{one.env.lower()}_names, .enum_count = {len(one.values)}"
        if one.values
        else ""
    )
    bounds = f", .min = {one.min}, .max = {one.max}" if one.kind in ("str", "int") else ""
    return (
        f"    {{.env = {c_str(one.env)}, .flag = {c_str('--' + one.flag if one.flag else None)}, "
        f".kind = SOUK_CONFIG_{one.kind.upper()}, .default_text = {c_str(one.default_text)}{names}{bounds}, "
        f".offset = offsetof(souk_{process}_config_t, {one.member}), .secret = {c_bool(one.secret)}, "
        f".unit = {c_str(one.unit)}, .description = {c_str(one.description)}}},\n"
    )


def metrics_h(project: Project) -> str:
    rows = "".join(
        f"    {each.enum}, /* {each.kind} {each.name}{{{', '.join(each.labels)}}} */\n"
        for each in project.metrics
    )
    return guard(
        "GEN_METRICS_H",
        f"""#include "souk/metrics.h"

/* Indexes of souk_metric_decls. */
enum {{
{rows}    SOUK_METRICS_COUNT,
}};

extern const souk_metric_decl_t souk_metric_decls[];
extern const size_t souk_metric_decls_count;
""",
    )


def metrics_c(project: Project) -> str:
    parts = [NOTE + '#include "gen/metrics.h"\n']
    rows = []
    bounds: dict[tuple[int, ...], str] = {}
    for at, each in enumerate(project.metrics):
        row = f".name = {c_str(each.name)}, .help = {c_str(each.help)}, .kind = SOUK_METRIC_{each.kind.upper()}, .series_max = {each.series_max}"
        if each.labels:
            parts.append(_names(f"s_labels_{at}", each.labels))
            row += f", .labels = s_labels_{at}, .labels_count = {len(each.labels)}"
        if each.bounds_us:
            key = tuple(each.bounds_us)
            if key not in bounds:
                bounds[key] = f"s_bounds_{len(bounds)}"
                parts.append(
                    f"static const int64_t {bounds[key]}[] = {{{', '.join(map(str, key))}}};\n"
                )
            row += f", .bounds_us = {bounds[key]}, .bounds_count = {len(key)}"
        rows.append(f"    [{each.enum}] = {{{row}}},\n")
    parts.append(
        f"const souk_metric_decl_t souk_metric_decls[] = {{\n{c_rows(rows)}}};\n"
        "const size_t souk_metric_decls_count = SOUK_METRICS_COUNT;\n"
    )
    return "\n".join(parts)


def roles_h(project: Project) -> str:
    rows = "".join(f"    {each.enum},\n" for each in project.roles)
    return guard(
        "GEN_ROLES_H",
        f"""#include "souk/roles.h"

/* Indexes of souk_user_roles. */
enum {{
{rows}    SOUK_USER_ROLES_COUNT,
}};
""",
    )


def roles_c(project: Project) -> str:
    parts = [NOTE + '#include "gen/roles.h"\n']
    rows = []
    for at, each in enumerate(project.roles):
        row = f".name = {c_str(each.name)}"
        if each.scopes:
            parts.append(_names(f"s_scopes_{at}", each.scopes))
            row += f", .scopes = s_scopes_{at}, .scopes_count = {len(each.scopes)}"
        rows.append(f"    [{each.enum}] = {{{row}}},\n")
    scopes = "".join(f"    {c_str(each.name)},\n" for each in project.scopes) or "    NULL,\n"
    parts.append(
        f"const souk_user_role_t souk_user_roles[] = {{\n{c_rows(rows)}}};\n"
        "const size_t souk_user_roles_count = SOUK_USER_ROLES_COUNT;\n\n"
        f"const char *const souk_scopes[] = {{\n{scopes}}};\n"
        f"const size_t souk_scopes_count = {len(project.scopes)};\n"
    )
    return "\n".join(parts)


def files(project: Project) -> dict[str, str]:
    return {
        "include/souk/err.h": err_h(project),
        "src/err.c": err_c(project),
        "include/gen/config.h": config_h(project),
        "src/config.c": config_c(project),
        "include/gen/metrics.h": metrics_h(project),
        "src/metrics.c": metrics_c(project),
        "include/gen/roles.h": roles_h(project),
        "src/roles.c": roles_c(project),
    }
