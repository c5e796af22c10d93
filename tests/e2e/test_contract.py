"""What every client may rely on: error bodies, request ids, the published description."""

import re
import socket

import pytest
from openapi_spec_validator import validate
from support.api import Api, product
from support.stack import wait_for


@pytest.fixture(scope="module")
def api(stack):
    return Api(stack)


def problem(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["title"] and body["request_id"] == answer.headers["X-Request-Id"]
    return body


@pytest.mark.smoke
def test_the_error_classes(api):
    problem(api.get("/v1/nothing"), 404, "not_found")
    problem(api.get("/v1/products/no-such-product"), 404, "not_found")
    assert "GET" in api.put("/v1/products").headers["Allow"]
    problem(api.put("/v1/products"), 405, "method_not_allowed")
    problem(api.get("/v1/products?colour=red"), 400, "unknown_parameter")
    problem(api.get("/v1/products?limit=0"), 422, "validation")
    problem(api.post("/v1/admin/products", json=product(), admin=False), 401, "unauthenticated")
    problem(
        api.post(
            "/v1/admin/products", json=product(), headers={"Authorization": "Bearer souk_x_y"}
        ),
        401,
        "unauthenticated",
    )
    problem(
        api.post("/v1/diag/echo", data="{", headers={"Content-Type": "application/json"}),
        400,
        "malformed",
    )
    problem(
        api.post("/v1/diag/echo", data="hello", headers={"Content-Type": "text/plain"}),
        415,
        "unsupported_media_type",
    )
    problem(
        api.post("/v1/diag/echo", data=b"x" * 70_000, headers={"Content-Type": "application/json"}),
        413,
        "too_large",
    )


def test_all_bad_fields_are_told_at_once(api):
    body = {"text": 7, "number": 1.5, "extra": True}
    errors = problem(api.post("/v1/diag/echo", json=body), 422, "validation")["errors"]
    assert {each["pointer"] for each in errors} == {"/text", "/number", "/extra"}
    assert all(each["reason"] for each in errors)


def test_request_ids_and_traces_come_back(api):
    given = api.get("/v1/diag/fixed", headers={"X-Request-Id": "my-request-1"})
    assert given.headers["X-Request-Id"] == "my-request-1"
    made = api.get("/v1/diag/fixed").headers["X-Request-Id"]
    assert re.fullmatch(r"[!-~]{8,64}", made)


def test_the_request_id_is_in_the_worker_log_of_a_failure(stack, api):
    """One id finds a request in the gateway's log."""
    api.get("/v1/products/none-such", headers={"X-Request-Id": "find-me-in-the-log"})
    wait_for(lambda: "find-me-in-the-log" in stack["gateway"].log(), 30, "the line in the log")


def test_the_description_is_valid_and_complete(api):
    document = api.get("/openapi.json").json()
    validate(document)
    assert {
        "/v1/products",
        "/v1/products/{key}",
        "/v1/admin/products/{id}",
        "/v1/diag/echo",
    } <= set(document["paths"])
    assert api.get("/docs").headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: +2\r\n",
        b"Content-Length : 2\r\n",
        b"X: a\r\n b\r\nContent-Length: 2\r\n",
        b"X: a\nContent-Length: 2\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
    ],
)
def test_ambiguous_requests_are_refused_and_the_connection_closed(stack, head):
    port = int(stack.settings["SOUK_GATEWAY_PORT"])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        link.sendall(
            b"POST /v1/diag/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            + head
            + b"\r\n{}"
        )
        answer = b""
        while chunk := link.recv(65536):
            answer += chunk
    assert re.match(rb"HTTP/1\.1 (400|501) ", answer), answer
    assert answer.count(b"HTTP/1.1 ") == 1
