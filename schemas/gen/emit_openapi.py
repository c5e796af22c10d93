"""The OpenAPI 3.1 document."""

from __future__ import annotations

import json
import re
from typing import Any

from . import examples
from .emit_c import NOTE, guard
from .loader import Problem
from .meta_service import PATTERNS, ULID
from .model import Error, Field, Method, Project, Type

Json = dict[str, Any]
# Errors that any request may meet on its way, beside those that follow from the method.
_WAY = (
    "malformed",
    "uri_too_long",
    "headers_too_large",
    "request_timeout",
    "rate_limited",
    "internal",
    "bad_reply",
    "overloaded",
    "no_worker",
    "no_broker",
    "unknown_method",
    "deadline_exceeded",
    "draining",
    "timeout",
)
_REQUEST_ID = {
    "description": "Names the request in logs; the caller's own X-Request-Id if it sent a sound one.",
    "schema": {"type": "string", "maxLength": 64},
}


def method_errors(project: Project, one: Method) -> list[Error]:
    """Every error that the method can answer with, by number."""
    codes = {*_WAY, *one.errors, *(each.missing for each in one.request.fields if each.required)}
    codes.add("unknown_parameter")
    if one.request.fields:
        codes.add("validation")
    if one.request.of_source("body"):
        codes |= {"too_large", "unsupported_media_type"}
    if one.auth != "none":
        codes.add("unauthenticated")
    if one.auth in ("guest", "user", "scope"):
        codes.add("forbidden")
    if one.key != "none":
        codes |= {"key_in_progress", "key_reused"}
    codes.add("worker_lost" if one.cls in ("read", "keyed") else "unknown_outcome")
    if one.key == "optional":
        codes.add("unknown_outcome")
    return sorted(
        (each for each in project.errors if each.code in codes and each.public),
        key=lambda each: each.number,
    )


class _Document:
    def __init__(self, project: Project):
        self.project = project
        self.request_types: dict[int, Type] = {}
        self.reply_types: dict[int, Type] = {}
        self.responses: Json = {}
        for one in project.methods():
            self.reach(one.request, self.request_types)
            self.reach(one.reply, self.reply_types)
            if one.reply_named:
                self.reply_types[id(one.reply)] = one.reply

    def reach(self, one: Type, found: dict[int, Type]) -> None:
        for each in one.nested():
            if id(each) not in found:
                found[id(each)] = each
                self.reach(each, found)

    def name(self, one: Type, strict: bool) -> str:
        """Of its component. What clients send refuses unknown fields and so is a schema of its own."""
        both = id(one) in self.request_types and id(one) in self.reply_types
        words = one.name if one.service == "souk" else f"{one.service}_{one.name}"
        return "".join(each.capitalize() for each in words.split("_")) + (
            "Input" if strict and both else ""
        )

    def type(self, one: Type, fields: list[Field], strict: bool) -> Json:
        ret: Json = {
            "type": "object",
            "description": one.description,
            "properties": {each.name: self.field(each, strict) for each in fields},
        }
        if required := [each.name for each in fields if each.required]:
            ret["required"] = required
        if one.body_fields_min:
            ret["minProperties"] = one.body_fields_min
        if strict:
            ret["additionalProperties"] = False
        return ret

    def field(self, one: Field, strict: bool) -> Json:
        ret = self.value(one, strict)
        if one.nullable:
            if "$ref" in ret:
                ret = {"anyOf": [ret, {"type": "null"}]}
            elif "type" in ret:
                ret["type"] = [ret["type"], "null"]
            if "enum" in ret:
                ret["enum"] = [*ret["enum"], None]
        if one.description:
            ret["description"] = one.description
        if one.default is not None:
            ret["default"] = one.default
        if one.example is not None:
            ret["examples"] = [one.example]
        return ret

    def value(self, one: Field, strict: bool) -> Json:
        if one.type:
            return {"$ref": f"#/components/schemas/{self.name(one.type, strict)}"}
        if one.item:
            return self.many(one, one.item, strict)
        simple: dict[str, Json] = {
            "bool": {"type": "boolean"},
            "int": {"type": "integer", "format": "int64"},
            "float": {"type": "number"},
            "str": {"type": "string"},
            "enum": {"type": "string", "enum": list(one.values)},
            "any": {},
            "time": {"type": "string", "format": "date-time"},
            "bytes": {"type": "string", "contentEncoding": "base64url"},
        }
        ret = simple[one.kind]
        keys = (
            ("minimum", "maximum") if one.kind in ("int", "float") else ("minLength", "maxLength")
        )
        low, high = one.min, one.max
        if one.kind == "bytes":
            low, high = (None if each is None else -int(-each * 4 // 3) for each in (low, high))
        if one.format == "etag":  # bounds are of what stands between the quotes
            low, high = None, None if high is None else high + 2
        if low is not None and (low or keys[0] == "minimum"):
            ret[keys[0]] = low
        if high is not None:
            ret[keys[1]] = high
        if pattern := f"{one.prefix}{ULID}" if one.prefix else PATTERNS.get(one.format or ""):
            ret["pattern"] = f"^(?:{pattern})$"
        return ret

    def many(self, one: Field, item: Field, strict: bool) -> Json:
        inner = self.value(item, strict)
        if one.kind == "list":
            ret: Json = {"type": "array", "items": inner}
            low, high = "minItems", "maxItems"
            if one.unique:
                ret["uniqueItems"] = True
        elif one.kind == "map":
            ret = {
                "type": "object",
                "additionalProperties": inner,
                "propertyNames": {"minLength": 1, "maxLength": 64},
            }
            low, high = "minProperties", "maxProperties"
        else:  # multimap: with style form and explode each property is a query parameter
            name = re.escape(one.source_name or one.name)
            return {
                "type": "object",
                "additionalProperties": False,
                "patternProperties": {
                    f"^{name}\\..{{1,64}}$": {"type": "array", "items": inner, "maxItems": one.max}
                },
            }
        if one.min:
            ret[low] = one.min
        if one.max is not None:
            ret[high] = one.max
        return ret

    def parameter(self, one: Field) -> Json:
        schema = self.field(one, True)
        schema.pop("description", None)
        found = schema.pop("examples", None)
        ret: Json = {
            "name": one.source_name or one.name,
            "in": one.source,
            "required": one.required or one.source == "path",
            "description": one.description,
            "schema": schema,
        }
        if one.kind in ("multimap", "list"):
            ret |= {"style": "form", "explode": True}
        if found:
            value = found[0]
            if one.kind == "multimap":
                value = {f"{ret['name']}.{key}": many for key, many in value.items()}
            ret["example"] = value
        return ret

    def error_responses(self, one: Method) -> Json:
        ret: Json = {}
        found = method_errors(self.project, one)
        for status in sorted({each.status for each in found}):
            same = [each for each in found if each.status == status]
            name = f"{status}." + ".".join(each.code for each in same)
            headers: Json = {"X-Request-Id": _REQUEST_ID}
            if again := [f"`{each.code}`" for each in same if each.retry]:
                headers["Retry-After"] = {
                    "description": f"Seconds to wait before the next attempt, after {', '.join(again)}.",
                    "schema": {"type": "integer", "minimum": 1},
                }
            if status == 401:
                headers["WWW-Authenticate"] = {
                    "description": "The scheme: Bearer.",
                    "schema": {"type": "string"},
                }
            example = {
                "type": "about:blank",
                "title": same[0].title,
                "status": status,
                "code": same[0].code,
            }
            self.responses[name] = {
                "description": " ".join(f"`{each.code}`: {each.title}." for each in same),
                "headers": headers,
                "content": {
                    "application/problem+json": {
                        "schema": {
                            "allOf": [
                                {"$ref": "#/components/schemas/Problem"},
                                {
                                    "properties": {
                                        "status": {"const": status},
                                        "code": {"enum": [each.code for each in same]},
                                    }
                                },
                            ]
                        },
                        "example": example,
                    }
                },
            }
            ret[str(status)] = {"$ref": f"#/components/responses/{name}"}
        return ret

    def success(self, one: Method, verb: str) -> Json:
        headers: Json = {"X-Request-Id": _REQUEST_ID}
        if one.etag:
            headers["ETag"] = {
                "description": f"The reply's {one.etag}."
                + (
                    f" With -{one.etag_more} behind it, when that is there."
                    if one.etag_more
                    else ""
                ),
                "schema": {"type": "string"},
            }
        if one.location:
            headers["Location"] = {
                "description": f"Where it is: {one.location}.",
                "schema": {"type": "string"},
            }
        if one.next:
            headers["Link"] = {
                "description": 'The next page, with rel="next"; absent on the last.',
                "schema": {"type": "string"},
            }
        if one.key != "none":
            headers["Idempotency-Replayed"] = {
                "description": "true: the answer was stored earlier under the same key.",
                "schema": {"type": "string"},
            }
        reply: Json = {"description": "Done.", "headers": headers}
        if one.reply.fields:
            schema = (
                {"$ref": f"#/components/schemas/{self.name(one.reply, False)}"}
                if one.reply_named
                else self.type(one.reply, one.reply.fields, False)
            )
            reply["content"] = {
                "application/json": {"schema": schema, "example": examples.of_type(one.reply)}
            }
        ret = {str(one.status): reply}
        if one.etag and verb == "GET":
            ret["304"] = {
                "description": "If-None-Match names the current ETag.",
                "headers": {"X-Request-Id": _REQUEST_ID, "ETag": headers["ETag"]},
            }
        return ret

    def operation(self, one: Method, at: int) -> Json:
        verb = one.http[at].verb
        ret: Json = {
            "operationId": f"{one.service}_{one.name}" + (f"_{at + 1}" if at else ""),
            "tags": [one.service],
            "summary": one.summary,
        }
        if one.description:
            ret["description"] = one.description
        parameters = [
            self.parameter(each)
            for each in one.request.of_source("path", "query", "header")
            if each.source != "path" or f"{{{each.name}}}" in one.http[at].path
        ]
        if one.key != "none":
            parameters.append(
                {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "required": one.key == "required",
                    "description": "Makes a repetition harmless: the same key with the same request gets the stored answer.",
                    "schema": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": 255,
                        "pattern": "^[!-~]+$",
                    },
                }
            )
        if one.etag and verb == "GET":
            parameters.append(
                {
                    "name": "If-None-Match",
                    "in": "header",
                    "required": False,
                    "description": "ETags that the caller holds; 304 if one is current.",
                    "schema": {"type": "string"},
                }
            )
        if parameters:
            ret["parameters"] = parameters
        if body := one.request.of_source("body"):
            ret["requestBody"] = {
                "required": bool(
                    one.request.body_fields_min or any(each.required for each in body)
                ),
                "description": f"At most {one.request_bytes_max} bytes.",
                "content": {
                    "application/json": {
                        "schema": self.type(one.request, body, True),
                        "example": examples.of_type(one.request, "body"),
                    }
                },
            }
        ret["responses"] = self.success(one, verb) | self.error_responses(one)
        ret["security"] = _security(one)
        return ret

    def document(self) -> Json:
        paths: Json = {}
        for one in self.project.methods():
            for at, each in enumerate(one.http):
                paths.setdefault(each.path, {})[each.verb.lower()] = self.operation(one, at)
        schemas: Json = {"Problem": _problem(self.project)}
        for strict, found in ((False, self.reply_types), (True, self.request_types)):
            for type_ in found.values():
                if self.name(type_, strict) in schemas:
                    raise Problem(
                        [
                            f"{type_.service}.yaml:1: two schemas of OpenAPI would be named {self.name(type_, strict)}; rename the type {type_.name}"
                        ]
                    )
                schemas[self.name(type_, strict)] = self.type(type_, type_.fields, strict)
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Souk",
                "version": "1",
                "license": {"name": "MIT", "identifier": "MIT"},
                "description": "A commerce backend. Money is an amount of the currency's minor units. Times are RFC 3339 in UTC. Unknown query "
                "parameters, and unknown fields in request bodies, are refused; replies may gain fields. HEAD and OPTIONS "
                "work wherever GET and anything do. Errors are problem documents with a stable `code`.",
            },
            "servers": [{"url": "/"}],
            "tags": [
                {"name": each.name, "description": each.description}
                for each in self.project.services
                if any(one.http for one in each.methods)
            ],
            "paths": {key: paths[key] for key in sorted(paths)},
            "components": {
                "schemas": {key: schemas[key] for key in sorted(schemas)},
                "responses": {key: self.responses[key] for key in sorted(self.responses)},
                "securitySchemes": {
                    "apiKey": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "souk_...",
                        "description": "An API key with the scope that the operation names.",
                    },
                    "accessToken": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "JWT",
                        "description": "A user's access token, from logging in. Where the operation names a scope, one of the user's roles has to give it: "
                        + _roles(self.project),
                    },
                    "guestToken": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "gst....",
                        "description": "The token of somebody who has not signed in: it owns a cart and its orders.",
                    },
                },
            },
        }


def _security(one: Method) -> list[Json]:
    """Any one of these admits; {} is nobody."""
    if one.auth == "scope":
        return [{"apiKey": [one.scope]}, {"accessToken": [one.scope]}]
    found: dict[str, tuple[str, ...]] = {
        "none": (),
        "optional": ("guestToken", "accessToken", "apiKey"),
        "guest": ("guestToken", "accessToken"),
        "user": ("accessToken",),
    }
    named: list[Json] = [{each: []} for each in found[one.auth]]
    return [{}, *named] if one.auth == "optional" else named


def _roles(project: Project) -> str:
    words = {(): "none", ("*",): "all"}
    return (
        "; ".join(
            f"{each.name}: {words.get(tuple(each.scopes), ', '.join(each.scopes))}"
            for each in project.roles
        )
        + "."
    )


def _text(description: str, **more: Any) -> Json:
    return {"type": "string", "description": description, **more}


def _problem(project: Project) -> Json:
    codes = [each.code for each in project.errors if each.public]
    item = {
        "in": _text("Where.", enum=["body", "path", "query", "header"]),
        "pointer": _text("JSON pointer into the body; else the name of the parameter or header."),
        "reason": _text("What is wrong."),
    }
    errors = {"type": "object", "required": ["in", "pointer", "reason"], "properties": item}
    return {
        "type": "object",
        "description": "RFC 9457.",
        "required": ["type", "title", "status", "code"],
        "properties": {
            "type": _text("urn:souk:error: and the code.", format="uri"),
            "title": _text("The error's name for people."),
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "code": _text("The error's stable name.", enum=codes),
            "detail": _text("What happened this time."),
            "instance": _text("The path of the request."),
            "request_id": _text("As in X-Request-Id."),
            "trace_id": _text("Of the request's trace."),
            "errors": {"type": "array", "description": "The bad fields.", "items": errors},
            "errors_omitted": {"type": "integer", "description": "Further bad fields."},
        },
    }


def document(project: Project) -> str:
    return json.dumps(_Document(project).document(), indent=1, ensure_ascii=False) + "\n"


def files(project: Project) -> dict[str, str]:
    """The document as C, for the gateway to serve."""
    data = json.dumps(
        _Document(project).document(), separators=(",", ":"), ensure_ascii=False
    ).encode()
    lines = [", ".join(map(str, data[at : at + 32])) for at in range(0, len(data), 32)]
    header = guard(
        "GEN_OPENAPI_H",
        "#include <stddef.h>\n\n/* docs/api/openapi.json without white space; UTF-8, no NUL behind it. */\n"
        "extern const unsigned char souk_openapi_json[];\nextern const size_t souk_openapi_json_size;\n",
    )
    body = ",\n    ".join(lines)
    return {
        "include/gen/openapi.h": header,
        "src/openapi.c": f'{NOTE}#include "gen/openapi.h"\n\nconst unsigned char souk_openapi_json[] = {{\n    {body}}};\n'
        f"const size_t souk_openapi_json_size = {len(data)};\n",
    }
