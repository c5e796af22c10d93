"""C of the types and services: structs, descriptor tables, dispatch tables, routes."""

from __future__ import annotations

from . import emit_machine
from .emit_c import NOTE, c_bool, c_comment, c_rows, c_str, guard
from .model import Field, Method, Project, Service, Type

_SCALARS = {
    "bool": "bool",
    "int": "int64_t",
    "float": "double",
    "str": "souk_str_t",
    "enum": "int32_t",
    "time": "int64_t",
    "bytes": "souk_str_t",
    "any": "souk_str_t",
}


def _item_c(one: Field) -> str:
    """The C type of a list's element."""
    assert one.item is not None
    if one.encoded:
        return "souk_str_t"
    return f"{_full(one.item.type)}_t" if one.item.type else _SCALARS[one.item.kind]


def _member_c(one: Field) -> str:
    if one.kind in ("map", "multimap"):
        return "souk_pairs_t"
    if one.kind == "list":
        return "souk_list_t"
    if one.type:
        return "souk_str_t" if one.encoded else f"{_full(one.type)}_t"
    return _SCALARS[one.kind]


def _full(one: Type | None) -> str:
    assert one is not None
    return one.c


def _enum_value(one: Type, each: Field, value: str) -> str:
    return f"{one.c}_{each.name}_{value.replace('-', 'minus_', 1) if value.startswith('-') else value}".upper()


def _struct(one: Type) -> str:
    """The struct of a type with its constants and accessors."""
    name = one.c
    out = [f"/* {c_comment(one.description)} */\n"]
    for each in one.fields:
        if each.kind == "enum":
            out.append(
                "enum {\n"
                + "".join(f"    {_enum_value(one, each, value)},\n" for value in each.values)
                + "};\n"
            )
    if one.fields:
        out.append(
            "enum {\n"
            + "".join(f"    {name.upper()}_{each.name.upper()}_BIT,\n" for each in one.fields)
            + "};\n"
        )
    out.append("typedef struct {\n    souk_bits_t bits;\n")
    out += [f"    {_member_c(each)} {each.name};{_remark(each)}\n" for each in one.fields]
    out.append(f"}} {name}_t;\nextern const souk_type_t {name}_type;\n")
    for each in one.fields:
        bit = f"{name.upper()}_{each.name.upper()}_BIT"
        if each.kind == "list":
            out.append(_list_accessors(name, each, bit))
        elif each.encoded or not each.type:
            member = _member_c(each)
            out.append(
                f"static inline void {name}_set_{each.name}({name}_t *self, {member} value) {{\n"
                f"    self->{each.name} = value;\n    souk_bits_set(&self->bits, {bit});\n}}\n"
            )
    return "".join(out)


def _remark(one: Field) -> str:
    if one.kind == "list":
        return f" /* of {_item_c(one)}{', encoded' if one.encoded else ''} */"
    return {
        "enum": " /* an index of its constants */",
        "time": " /* microseconds since 1970, UTC */",
    }.get(one.kind, " /* encoded */" if one.encoded else "")


def _list_accessors(name: str, one: Field, bit: str) -> str:
    item = _item_c(one)
    return f"""static inline {item} *{name}_{one.name}(const {name}_t *self, size_t *ret_count) {{
    *ret_count = self->{one.name}.count;
    return ({item} *)self->{one.name}.items;
}}
/* Room for count zeroed items; NULL when the arena is full. */
static inline {item} *{name}_new_{one.name}({name}_t *self, souk_arena_t *arena, size_t count) {{
    {item} *items = ({item} *)souk_arena_alloc_array(arena, count > 0 ? count : 1, sizeof({item}));
    if (items != NULL) {{
        self->{one.name} = (souk_list_t){{.items = items, .count = count}};
        souk_bits_set(&self->bits, {bit});
    }}
    return items;
}}
"""


def types_h(project: Project) -> str:
    body = '#include "souk/schema.h"\n\n' + "\n".join(_struct(each) for each in project.types)
    return guard("GEN_TYPES_H", body)


def types_c(project: Project) -> str:
    return (
        NOTE
        + '#include "gen/types.h"\n\n#include <float.h>\n\n'
        + "\n".join(_tables(each) for each in project.types)
    )


def _own_types(service: Service) -> list[Type]:
    """Its types, then the requests and replies that have no type's name."""
    ret = list(service.types)
    for method in service.methods:
        ret.append(method.request)
        if not method.reply_named:
            ret.append(method.reply)
    return ret


def service_h(service: Service) -> str:
    parts = ['#include "gen/types.h"\n']
    if service.machines:
        parts = ['#include "gen/types.h"\n#include "souk/machine.h"\n']
    parts += [_struct(each) for each in _own_types(service)]
    parts += [emit_machine.declaration(each) for each in service.machines]
    for each in service.methods:
        if each.reply_named:
            parts.append(
                f"typedef {each.reply.c}_t {each.c}_rep_t;\n#define {each.c}_rep_type {each.reply.c}_type\n"
            )
    return guard(f"GEN_{service.name.upper()}_H", "\n".join(parts))


def service_c(service: Service) -> str:
    tables = "\n".join(
        [_tables(each) for each in _own_types(service)]
        + [emit_machine.definition(each) for each in service.machines]
    )
    return f'{NOTE}#include "gen/{service.name}.h"\n\n#include <float.h>\n\n{tables}'


def _tables(one: Type) -> str:
    """The descriptor of a type."""
    out = []
    for each in one.fields:
        if each.values:
            out.append(
                f"static const char *const s_{one.c}_{each.name}_names[] = {{{', '.join(map(c_str, each.values))}}};\n"
            )
    fields = "NULL"
    if one.fields:
        fields = f"s_{one.c}_fields"
        out.append(
            f"static const souk_field_t {fields}[] = {{\n{''.join(_row(one, each) for each in one.fields)}}};\n"
        )
    required = sum(1 << each.bit for each in one.fields if each.required)
    out.append(
        f"const souk_type_t {one.c}_type = {{.name = {c_str(one.name)}, .fields = {fields}, .required = UINT64_C(0x{required:x}), "
        f".struct_bytes = sizeof({one.c}_t), .fields_count = {len(one.fields)}, .body_fields_min = {one.body_fields_min}}};\n"
    )
    return "".join(out)


def _number(value: int | float | None, otherwise: str) -> str:
    return otherwise if value is None else str(value)


def _row(one: Type, each: Field) -> str:
    flags = [name for name in ("required", "nullable", "encoded", "unique") if getattr(each, name)]
    flags += ["default"] if each.default is not None else []
    item = each.item
    record = (item or each).type
    row = {
        "name": c_str(each.name),
        "name_size": str(len(each.name)),
        "kind": f"SOUK_KIND_{each.kind.upper()}",
        "bit": str(each.bit),
        "offset": f"offsetof({one.c}_t, {each.name})",
        "flags": " | ".join(f"SOUK_FIELD_{flag.upper()}" for flag in flags) or "0",
        "source": f"SOUK_SOURCE_{each.source.upper()}",
        "missing_err": f"SOUK_ERR_{each.missing.upper()}",
    }
    if each.source_name:
        row["source_name"] = c_str(each.source_name)
    if record:
        row["type"] = f"&{record.c}_type"
    if each.values:
        row["enum_names"], row["enum_count"] = f"s_{one.c}_{each.name}_names", str(len(each.values))
    low = "INT64_MIN" if each.kind == "int" else "0"
    if each.kind == "float":
        row["float_min"], row["float_max"] = (
            _number(each.min, "-DBL_MAX"),
            _number(each.max, "DBL_MAX"),
        )
    else:
        row["min"], row["max"] = _number(each.min, low), _number(each.max, "INT64_MAX")
    if item:
        row["item_kind"] = f"SOUK_KIND_{item.kind.upper()}"
        row["item_min"] = _number(item.min, "INT64_MIN" if item.kind == "int" else "0")
        row["item_max"] = _number(item.max, "INT64_MAX")
    if item and item.format:
        row["item_format"] = f"SOUK_FORMAT_{item.format.upper()}"
    if each.format:
        row["format"] = f"SOUK_FORMAT_{each.format.upper()}"
    if prefix := (item or each).prefix:
        row["format_arg"] = c_str(prefix)
    row |= _default(each)
    return "    {" + ", ".join(f".{key} = {value}" for key, value in row.items()) + "},\n"


def _default(one: Field) -> dict[str, str]:
    if one.default is None:
        return {}
    if one.kind == "str":
        return {"default_str": c_str(one.default)}
    if one.kind == "enum":
        return {
            "default_str": c_str(one.default),
            "default_int": str(one.values.index(one.default)),
        }
    return {"default_int": str(int(one.default))}


def handlers_h(service: Service) -> str:
    parts = [
        f'#include "gen/{service.name}.h"\n#include "runtime/ctx.h"\n#include "runtime/service.h"\n'
    ]
    for each in service.methods:
        if each.lane == "batch":
            parts.append(f"""/* {c_comment(each.summary)}. Sets err of each call. */
typedef souk_call_t {each.c}_call_t;
static inline const {each.c}_req_t *{each.c}_call_req(const {each.c}_call_t *self) {{
    return (const {each.c}_req_t *)self->request;
}}
static inline {each.c}_rep_t *{each.c}_call_rep(const {each.c}_call_t *self) {{
    return ({each.c}_rep_t *)self->reply;
}}
void {each.c}(souk_batch_t *self, {each.c}_call_t *calls, size_t calls_count);
""")
        else:
            parts.append(
                f"/* {c_comment(each.summary)}. */\nsouk_err_t {each.c}(souk_ctx_t *ctx, const {each.c}_req_t *req, {each.c}_rep_t *ret_rep);\n"
            )
    parts.append(
        f"extern const souk_method_t {service.name}_methods[];\n"
        f"enum {{ {service.name.upper()}_METHODS_COUNT = {len(service.methods)} }};\n"
    )
    return guard(f"GEN_{service.name.upper()}_HANDLERS_H", "\n".join(parts))


def dispatch_c(service: Service) -> str:
    thunks = [
        f"""static souk_err_t s_{each.name}(souk_ctx_t *ctx, const void *request, void *reply) {{
    return {each.c}(ctx, (const {each.c}_req_t *)request, ({each.c}_rep_t *)reply);
}}
"""
        for each in service.methods
        if each.lane != "batch"
    ]
    rows = c_rows([_method_row(each) for each in service.methods])
    return (
        f'{NOTE}#include "gen/{service.name}_handlers.h"\n\n'
        + "\n".join(thunks)
        + f"\nconst souk_method_t {service.name}_methods[] = {{\n{rows}}};\n"
    )


def _method_row(one: Method) -> str:
    run = f".run_batch = {one.c}" if one.lane == "batch" else f".run = s_{one.name}"
    return (
        f"    {{.name = {c_str(one.name)}, .request = &{one.c}_req_type, .reply = &{one.c}_rep_type, {run}, "
        f".lane = SOUK_LANE_{one.lane.upper()}, .class_ = SOUK_CLASS_{one.cls.upper()}, "
        f".key_required = {'true' if one.key == 'required' else 'false'}, "
        f".memory_bytes_max = {one.memory_bytes_max}, .reply_bytes_max = {one.reply_bytes_max}}},\n"
    )


def routes_h() -> str:
    return guard(
        "GEN_ROUTES_H",
        '#include "souk/route.h"\n\nextern const souk_route_t souk_routes[];\nextern const size_t souk_routes_count;\n'
        "/* Where the gateway asks for keys; service NULL: nowhere. */\nextern const souk_auth_source_t souk_auth_source;\n",
    )


def routes_c(project: Project) -> str:
    includes = "".join(f'#include "gen/{each.name}.h"\n' for each in project.services)
    rows = []
    for one in project.methods():
        for each in one.http:
            rows.append(
                f"    {{.verb = {c_str(each.verb)}, .path = {c_str(each.path)}, .service = {c_str(one.service)}, "
                f".method = {c_str(one.name)}, .request = &{one.c}_req_type, .auth = SOUK_AUTH_{one.auth.upper()}, .scope = {c_str(one.scope)}, "
                f".etag_field = {c_str(one.etag)}, .etag_more_field = {c_str(one.etag_more)}, .location = {c_str(one.location)}, .next_field = {c_str(one.next)}, "
                f".timeout_ms = {one.timeout_ms}, .request_bytes_max = {one.request_bytes_max}, "
                f".reply_bytes_max = {one.reply_bytes_max}, .memory_bytes_max = {one.memory_bytes_max}, "
                f".status = {one.status}, .class_ = SOUK_CLASS_{one.cls.upper()}, .key_rule = SOUK_KEY_{one.key.upper()}, "
                f".priority = SOUK_PRIORITY_{one.priority.upper()}, .has_body = {c_bool(one.request.of_source('body'))}}},\n"
            )
    source = project.auth_source()
    asked = (
        f"{{.service = {c_str(source.service)}, .method = {c_str(source.name)}, .timeout_ms = {source.timeout_ms}, "
        f".priority = SOUK_PRIORITY_{source.priority.upper()}}}"
        if source
        else "{.service = NULL}"
    )
    return (
        f'{NOTE}#include "gen/routes.h"\n\n{includes}#include "souk/envelope.h"\n\n'
        f"const souk_route_t souk_routes[] = {{\n{c_rows(rows)}}};\nconst size_t souk_routes_count = {len(rows)};\n"
        f"const souk_auth_source_t souk_auth_source = {asked};\n"
    )


def files(project: Project) -> dict[str, str]:
    ret = {
        "include/gen/types.h": types_h(project),
        "src/types.c": types_c(project),
        "include/gen/routes.h": routes_h(),
        "src/routes.c": routes_c(project),
    }
    for each in project.services:
        ret |= {
            f"include/gen/{each.name}.h": service_h(each),
            f"src/{each.name}.c": service_c(each),
            f"include/gen/{each.name}_handlers.h": handlers_h(each),
            f"src/{each.name}_dispatch.c": dispatch_c(each),
        }
    return ret
