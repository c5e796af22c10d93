"""Every operation of /openapi.json, called for real: status, headers and body are what the document says.

The examples of the document are the requests, but for what has to be there first (ids, versions) and what has to be unique."""

import re
import uuid

import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from support.accounts import Person
from support.api import Api
from support.stack import Stack, wait_for

ABSENT = "01JD3YV4M8Q6T0R7ZK5N2X9W1B"  # ids of the examples end in it; nothing has it


class Described:
    """An API client that knows the document and holds every answer against it."""

    def __init__(self, stack):
        self.api = Api(stack)
        self.customer = Person(stack).register().login()
        self.document = self.api.get("/openapi.json").json()
        self.registry = Registry().with_resource("urn:api", Resource(self.document, DRAFT202012))
        self.operations = {
            operation["operationId"]: (verb, path, operation)
            for path, item in self.document["paths"].items()
            for verb, operation in item.items()
        }
        self.called = set()

    def call(self, name, path=None, query=None, body=None, headers=None):
        """Calls the operation by its examples; path, query, body and headers replace some of them."""
        verb, template, operation = self.operations[name]
        values = {"path": {}, "query": {}, "header": {}}
        for each in operation.get("parameters", []):
            if "example" in each:
                values[each["in"]][each["name"]] = each["example"]
        url = template.format(**{**values["path"], **(path or {})})
        if query is None:
            query = {}
            for key, value in values["query"].items():
                query.update(value if isinstance(value, dict) else {key: value})
        sent = self.example(operation) if body is None else body
        options = {
            "params": query,
            "headers": {**self.credentials(operation), **values["header"], **(headers or {})},
        }
        if sent is not None:
            options["json"] = sent
        answer = self.api.request(verb.upper(), url, admin=False, **options)
        self.hold(name, operation, answer)
        return answer

    def credentials(self, operation):
        """What the operation wants: staff's key or a customer's token, and a key of its own."""
        wanted = {name for each in operation["security"] for name in each}
        found = {}
        if "apiKey" in wanted:
            found = dict(self.api.stack.admin)
        elif wanted:
            found = {"Authorization": f"Bearer {self.customer.tokens['access_token']}"}
        parameters = operation.get("parameters", [])
        if any(each["name"] == "Idempotency-Key" and each["required"] for each in parameters):
            found["Idempotency-Key"] = uuid.uuid4().hex
        return found

    @staticmethod
    def example(operation):
        if "requestBody" not in operation:
            return None
        return operation["requestBody"]["content"]["application/json"]["example"]

    def hold(self, name, operation, answer):
        """Asserts that the answer is one of those that the operation declares."""
        status = str(answer.status_code)
        assert status in operation["responses"], f"{name}: {status} {answer.text}"
        declared = operation["responses"][status]
        if "$ref" in declared:
            declared = self.document["components"]["responses"][declared["$ref"].split("/")[-1]]
        if "content" in declared:
            ((kind, media),) = declared["content"].items()
            assert answer.headers["Content-Type"].split(";")[0] == kind
            self.validate(media["schema"], answer.json())
        else:
            assert answer.content == b""
        always = {"X-Request-Id", "ETag", "Location", "WWW-Authenticate"}
        for header in always & set(declared.get("headers", {})):
            assert header in answer.headers, f"{name}: {status} without {header}"
        self.called.add(name)

    def validate(self, schema, value):
        """References in the schema are relative to the document."""
        text = {"$id": "urn:api:schema", **rebased(schema)}
        jsonschema.Draft202012Validator(text, registry=self.registry).validate(value)


def soon(step, status):
    """The answer of a read once it has the status: the other catalog worker may lag behind."""
    answers = []  # a Response of 400 and above is false

    def reached():
        answers.append(step())
        return answers[-1].status_code == status

    wait_for(reached, what=str(status))
    return answers[-1]


def rebased(node):
    if isinstance(node, dict):
        return {
            key: f"urn:api{value}" if key == "$ref" else rebased(value)
            for key, value in node.items()
        }
    return [rebased(each) for each in node] if isinstance(node, list) else node


@pytest.fixture(scope="module")
def stack(servers):
    """Every service, so that nobody answers for another."""
    with Stack(servers, orders=1, users=1) as started:
        yield started


@pytest.fixture(scope="module")
def described(stack):
    return Described(stack)


def test_every_operation_answers_as_declared_to_its_examples(described):
    """Mostly with 404: nothing of the examples is there."""
    for name in described.operations:
        described.call(name)
    assert described.called == set(described.operations)


def test_every_operation_refuses_an_unknown_query_parameter(described):
    for name in described.operations:
        answer = described.call(name, query={"no_such_parameter": "1"})
        assert (answer.status_code, answer.json()["code"]) == (400, "unknown_parameter"), name


def test_every_body_refuses_unknown_fields_and_wrong_types(described):
    for name, (_, _, operation) in described.operations.items():
        body = described.example(operation)
        if body is None:
            continue
        first = next(iter(body))
        wrong = {**body, "no_such_field": 1, first: {"no": ["such", "value"]}}
        answer = described.call(name, body=wrong)
        assert answer.status_code == 422, name
        pointers = {each["pointer"] for each in answer.json()["errors"]}
        assert "/no_such_field" in pointers, name
        assert any(each == f"/{first}" or each.startswith(f"/{first}/") for each in pointers), name


def test_protected_operations_want_a_key(described):
    for name, (verb, path, operation) in described.operations.items():
        if operation["security"] and {} not in operation["security"]:  # {}: nobody may, too
            answer = described.api.request(
                verb.upper(), re.sub(r"\{\w+\}", ABSENT, path), admin=False
            )
            described.hold(name, operation, answer)
            assert answer.status_code == 401, name


def test_a_catalogue_as_declared(described):
    """The life of a category and a product, each step held against the document. Writes know of the writes before, whichever worker
    made them."""
    call = described.call
    category = call("catalog_categories_create", body={"slug": "boards", "name": "Boards"})
    assert category.status_code == 201
    body = described.example(described.operations["catalog_products_create"][2])
    fields = {**body, "category_ids": ["boards"], "status": "active"}
    made = call("catalog_products_create", body=fields)
    assert made.status_code == 201, made.text
    product = made.json()
    where, etag = {"id": product["id"]}, made.headers["ETag"]
    assert made.headers["Location"] == f"/v1/products/{product['id']}"

    def update(version, status):
        sent = {"headers": {"If-Match": version}, "body": {"name": "Board"}}
        answer = call("catalog_products_update", path=where, **sent)
        assert answer.status_code == status, answer.text
        return answer

    now = update(etag, 200).headers["ETag"]
    assert now != etag
    update(etag, 412)
    soon(lambda: call("catalog_admin_products_get", path=where), 200)
    history = call("catalog_products_revisions", path=where, query={}).json()["data"]
    assert [each["version"] for each in history] == [2, 1]
    assert call("catalog_products_create", body=fields).status_code == 409
    assert call("catalog_products_list", query={"limit": 1}).status_code == 200
    assert call("catalog_products_facets", query={}).status_code == 200
    assert call("catalog_categories_list").status_code == 200
    gone = call("catalog_products_delete", path=where, headers={"If-Match": now})
    assert gone.status_code == 204
    update(now, 404)
