"""Golden vectors, made from the examples: what every request and reply looks like in each of its forms, bodies that have to be
refused, and seeds for fuzzers. tests/unit/lib/test_golden.c runs the engine over them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import examples
from .emit_c import NOTE, c_bool, c_rows, c_str, guard
from .model import Field, Project, Type

_HEADER = """#include "souk/schema.h"

/* A path, query or header value of a request. */
typedef struct {
    souk_source_t source;
    const char *name, *text;
} souk_vector_text_t;

/* One request or reply: its texts and its JSON are its msgpack. */
typedef struct {
    const char *name;
    const souk_type_t *type;
    const souk_vector_text_t *texts;
    size_t texts_count;
    const char *json; /* a request's body, a whole reply */
    const unsigned char *mp;
    size_t mp_size;
    bool is_reply;
} souk_vector_t;

/* A body that is refused, be the texts sound: pointer is among the issues, and err is what they come to. */
typedef struct {
    const char *name, *json, *pointer;
    const souk_type_t *type;
    const souk_vector_text_t *texts;
    size_t texts_count;
    souk_err_t err;
} souk_vector_refused_t;

extern const souk_vector_t souk_vectors[];
extern const size_t souk_vectors_count;
extern const souk_vector_refused_t souk_vectors_refused[];
extern const size_t souk_vectors_refused_count;
"""
_WRONG = {
    "bool": 1,
    "int": "1",
    "float": "1",
    "str": 1,
    "enum": 1,
    "time": "yesterday",
    "bytes": "=",
    "list": {},
    "map": [],
    "record": 1,
}
_MISSHAPEN = {
    "slug": "A B",
    "sku": "a b",
    "currency": "eur",
    "id": "x",
    "token": "a b",
    "url": "ftp://a",
    "email": "a",
    "line": "a\nb",
    "text": "a\rb",
}
_MANY = 32
_LONG = 300  # longer texts would bloat the table


def _bad_values(one: Field) -> Iterator[tuple[str, Any, str]]:
    """(what is wrong, a value, the rest of its pointer) of a body field."""
    if one.kind == "any":
        return
    yield "of another type", _WRONG[one.kind], ""
    if not one.nullable:
        yield "null", None, ""
    if one.kind == "enum":
        yield "of no known value", "no_such_value", ""
    if one.kind == "int":
        yield "too small", int(one.min or 0) - 1, ""
        yield "too large", int(one.max or 0) + 1, ""
        yield "a fraction", 1.5, ""
    if one.kind == "str" and one.max is not None and one.max < _LONG:
        yield "too long", "a" * (int(one.max) + 1), ""
    if one.kind in ("str", "list") and one.min:
        yield "empty", "" if one.kind == "str" else [], ""
    if one.format in _MISSHAPEN:
        yield "of another format", _MISSHAPEN[one.format], ""
    if one.kind == "list" and not one.unique and one.max is not None and one.max < _MANY:
        yield "with too many items", examples.of_field(one)[:1] * (int(one.max) + 1), ""
    if one.unique:
        value = examples.of_field(one)[0]
        yield "with a value twice", [value, value], "/1"
    nested = one.type or (one.item.type if one.item else None)
    if nested:
        value = examples.of_type(nested) | {"no_such_field": 1}
        yield (
            "with an unknown field",
            value if one.type else [value],
            ("" if one.type else "/0") + "/no_such_field",
        )


def _refused(one: Type) -> Iterator[tuple[str, str, str, str]]:
    """(what is wrong, body, pointer, error code)."""
    good = examples.of_type(one, "body")
    yield (
        "unknown field",
        examples.compact(good | {"no_such_field": 1}),
        "/no_such_field",
        "validation",
    )
    for each in one.of_source("path", "query", "header"):
        yield (
            f"{each.source} field {each.name} in the body",
            examples.compact(good | {each.name: "x"}),
            f"/{each.name}",
            "validation",
        )
    for each in one.of_source("body"):
        for what, value, rest in _bad_values(each):
            yield (
                f"{each.name} {what}",
                examples.compact(good | {each.name: value}),
                f"/{each.name}{rest}",
                "validation",
            )
        text = examples.compact(good)
        again = f"{text[:-1]},{examples.compact({each.name: good[each.name]})[1:]}"
        yield f"{each.name} twice", again, f"/{each.name}", "validation"
        if each.required:
            lacking = {key: value for key, value in good.items() if key != each.name}
            yield f"{each.name} missing", examples.compact(lacking), f"/{each.name}", each.missing


def _texts(one: Type) -> list[str]:
    rows = []
    for each in one.of_source("path", "query", "header"):
        for key, text in examples.texts(each):
            name = f"{each.source_name}.{key}" if key else each.source_name
            rows.append(f"{{SOUK_SOURCE_{each.source.upper()}, {c_str(name)}, {c_str(text)}}}")
    return rows


def _texts_of(one: Type) -> str:
    count = len(_texts(one))
    return f".texts = {f's_{one.c}_texts' if count else 'NULL'}, .texts_count = {count}"


def files(project: Project) -> dict[str, str]:
    tables, rows, refused = [], [], []
    for one in project.methods():
        for kind, type_, symbol in (
            ("request", one.request, f"{one.c}_req"),
            ("reply", one.reply, f"{one.c}_rep"),
        ):
            mp = examples.mp_type(type_, examples.of_type(type_))
            tables.append(
                f"static const unsigned char s_{symbol}_mp[] = {{{', '.join(map(str, mp))}}};\n"
            )
            if texts := _texts(type_):
                tables.append(
                    f"static const souk_vector_text_t s_{symbol}_texts[] = {{{', '.join(texts)}}};\n"
                )
            body = examples.of_type(type_, "body")
            rows.append(
                f"    {{.name = {c_str(f'{one.service}.{one.name} {kind}')}, .type = &{symbol}_type, "
                f"{_texts_of(type_)}, "
                f".json = {c_str(examples.compact(body))}, .mp = s_{symbol}_mp, .mp_size = {len(mp)}, .is_reply = {c_bool(kind == 'reply')}}},\n"
            )
        if one.request.of_source("body"):
            for what, json, pointer, code in _refused(one.request):
                refused.append(
                    f"    {{.name = {c_str(f'{one.service}.{one.name}: {what}')}, .json = {c_str(json)}, .pointer = {c_str(pointer)}, "
                    f".type = &{one.c}_req_type, {_texts_of(one.request)}, .err = SOUK_ERR_{code.upper()}}},\n"
                )
    includes = "".join(f'#include "gen/{each.name}.h"\n' for each in project.services)
    source = (
        f'{NOTE}#include "gen/vectors.h"\n\n{includes}\n{"".join(tables)}\nconst souk_vector_t souk_vectors[] = {{\n{c_rows(rows)}}};\n'
        f"const size_t souk_vectors_count = {len(rows)};\n\nconst souk_vector_refused_t souk_vectors_refused[] = {{\n{c_rows(refused)}}};\n"
        f"const size_t souk_vectors_refused_count = {len(refused)};\n"
    )
    return {"include/gen/vectors.h": guard("GEN_VECTORS_H", _HEADER), "src/vectors.c": source}


def seeds(project: Project) -> dict[str, bytes]:
    """For the fuzzers of the decoders: seeds/json, seeds/mp."""
    ret: dict[str, bytes] = {}
    for one in project.methods():
        name = f"{one.service}.{one.name}"
        if one.request.of_source("body"):
            ret[f"seeds/json/{name}.json"] = examples.compact(
                examples.of_type(one.request, "body")
            ).encode()
        ret[f"seeds/mp/{name}.req.mp"] = examples.mp_type(
            one.request, examples.of_type(one.request)
        )
        ret[f"seeds/mp/{name}.rep.mp"] = examples.mp_type(one.reply, examples.of_type(one.reply))
    return ret
