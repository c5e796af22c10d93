"""C that does not depend on a service: errors, configuration, metrics."""

from __future__ import annotations

from typing import Any

from .model import Project

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


def guard(name: str, body: str) -> str:
    return f"{NOTE}#ifndef {name}\n#define {name}\n\n{body}\n#endif\n"


def c_bool(value: Any) -> str:
    return "true" if value else "false"


def err_h(project: Project) -> str:
    rows = "".join(f"    {each.enum} = {each.number}, /* {each.status}: {each.title} */\n" for each in project.errors)
    return guard("SOUK_ERR_H", f"""#include <stdbool.h>
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
""")


def err_c(project: Project) -> str:
    rows = "".join(
        f"    {{{each.enum}, {len(each.code)}, {{{c_str(each.code)}, {c_str(each.title)}, {each.status}, "
        f"{c_bool(each.retry)}, {c_bool(each.public)}}}}},\n"
        for each in sorted(project.errors, key=lambda each: each.number))
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
"""
