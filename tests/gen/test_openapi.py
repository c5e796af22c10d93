"""The OpenAPI document: valid by an independent validator, and every example fits its own schema."""

import json
import re

import jsonschema
import openapi_spec_validator
import pytest
from gen import emit_openapi, examples, meta
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from sound import ROOT


@pytest.fixture(params=["own", "project"])
def project(request, folder):
    return meta.read(ROOT / "schemas" if request.param == "project" else folder)


@pytest.fixture
def document(project):
    return json.loads(emit_openapi.document(project))


def validator(document, pointer):
    """For the schema at the pointer, references resolved inside the document."""
    registry = Registry().with_resource("urn:api", Resource(document, DRAFT202012))
    return jsonschema.Draft202012Validator({"$ref": f"urn:api#{pointer}"}, registry=registry)


def media(document):
    """(pointer, media type object) of all bodies."""
    found = []

    def walk(node, pointer):
        if isinstance(node, dict):
            for key, value in node.items():
                at = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
                if key == "content":
                    found.extend(
                        (f"{at}/{kind.replace('/', '~1')}", body) for kind, body in value.items()
                    )
                walk(value, at)
        elif isinstance(node, list):
            for at, value in enumerate(node):
                walk(value, f"{pointer}/{at}")

    walk(document, "")
    return found


def test_it_is_valid(document):
    openapi_spec_validator.validate(document)


def test_every_example_of_a_body_fits(document):
    bodies = media(document)
    assert len(bodies) >= 10
    for pointer, body in bodies:
        validator(document, pointer.replace("{", "%7B").replace("}", "%7D") + "/schema").validate(
            body["example"]
        )


def test_every_example_of_a_field_and_parameter_fits(document):
    checked = 0
    for name, schema in document["components"]["schemas"].items():
        for key, field in schema.get("properties", {}).items():
            for example in field.get("examples", []):
                validator(document, f"/components/schemas/{name}/properties/{key}").validate(
                    example
                )
                checked += 1
    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                if "example" in parameter:
                    jsonschema.Draft202012Validator(parameter["schema"]).validate(
                        parameter["example"]
                    )
                    checked += 1
    assert checked > 5


def test_every_route_is_there(document, project):
    routes = {(each.verb.lower(), each.path) for one in project.methods() for each in one.http}
    assert routes == {(verb, path) for path, item in document["paths"].items() for verb in item}


def test_requests_refuse_unknown_fields_and_replies_do_not(document, project):
    for one in project.methods():
        if not one.http:
            continue
        operation = document["paths"][one.http[0].path][one.http[0].verb.lower()]
        reply = operation["responses"][str(one.status)]
        for kind, body in (
            ("request", operation.get("requestBody")),
            ("reply", reply if "content" in reply else None),
        ):
            if body:
                pointer = f"/paths/{one.http[0].path.replace('/', '~1')}/{one.http[0].verb.lower()}"
                pointer += "/requestBody" if kind == "request" else f"/responses/{one.status}"
                schema = validator(
                    document,
                    pointer.replace("{", "%7B").replace("}", "%7D")
                    + "/content/application~1json/schema",
                )
                example = body["content"]["application/json"]["example"] | {"no_such_field": 1}
                assert schema.is_valid(example) == (kind == "reply")


def test_patterns_are_those_of_browsers_too(document):
    """ECMA 262 has no \\A, \\Z or (?P, and Python's own dialect must not slip in."""
    patterns = re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', json.dumps(document))
    assert patterns
    assert not [each for each in patterns if re.search(r"\\\\[AZ]|\(\?P|\(\?[imsx]", each)]


def test_what_a_method_says_is_in_its_operation(folder):
    document = json.loads(emit_openapi.document(meta.read(folder)))
    change = document["paths"]["/v1/things/{id}"]["patch"]
    assert change["security"] == [{"apiKey": ["shop:write"]}, {"accessToken": ["shop:write"]}]
    parameters = {each["name"]: each for each in change["parameters"]}
    assert parameters["If-Match"]["required"] and parameters["Idempotency-Key"]["required"]
    assert change["requestBody"]["content"]["application/json"]["schema"]["minProperties"] == 1
    assert {"401", "403", "404", "409", "413", "415", "422", "428", "503", "504"} - set(
        change["responses"]
    ) <= {"401", "403", "409", "413", "415", "503", "504"}, (
        "those that the small errors.yaml declares"
    )
    assert "ETag" in change["responses"]["200"]["headers"]
    get = document["paths"]["/v1/things/{id}"]["get"]
    assert "304" in get["responses"] and get["security"] == []
    size = next(each for each in get["parameters"] if each["name"] == "size")
    assert list(size["schema"]["patternProperties"]) == ["^size\\..{1,64}$"]
    create = document["paths"]["/v1/things"]["post"]
    assert "Location" in create["responses"]["201"]["headers"]
    assert document["components"]["responses"]["404.not_found"]


def test_problems_allow_only_codes_of_their_status(document):
    for name, response in document["components"]["responses"].items():
        pointer = f"/components/responses/{name}/content/application~1problem+json/schema"
        example = response["content"]["application/problem+json"]["example"]
        assert validator(document, pointer).is_valid(example)
        assert not validator(document, pointer).is_valid(example | {"code": "no_such_code"})


def test_the_c_array_holds_the_document(folder):
    project = meta.read(folder)
    source = emit_openapi.files(project)["src/openapi.c"]
    numbers = re.search(r"\{([0-9,\s]*)\}", source)
    data = bytes(int(each) for each in numbers.group(1).split(","))
    assert json.loads(data) == json.loads(emit_openapi.document(project))
    assert f"souk_openapi_json_size = {len(data)};" in source


def test_examples_are_the_fields_own(folder):
    method = meta.read(folder).services[0].methods[0]
    assert examples.of_type(method.reply)["price"] == {"amount": 100, "currency": "EUR"}
