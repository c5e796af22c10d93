"""What comes back for requests that are in order: statuses, heads, bodies, and what the service gets to see."""

import datetime
import hashlib
import re

import pytest
from conftest import PRODUCT_ID, SECRET, wait, write_keys

from broker import err, rep

FIXED = {"items": []}


def test_a_get_becomes_a_call_and_its_reply_json(gateway, broker):
    at = datetime.datetime(2026, 11, 24, 10, 0, 0, 250000, tzinfo=datetime.UTC)
    broker.answers["products_get"] = rep(
        {"id": "prod_1", "version": 3, "name": 'Brücke "x"', "at": at, "n": None, "ok": [True, 1.5]}
    )
    answer = gateway.get("/v1/products/walnut%2Dboard?")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["etag"] == '"3"'
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.json() == {
        "id": "prod_1",
        "version": 3,
        "name": 'Brücke "x"',
        "at": "2026-11-24T10:00:00.250Z",
        "n": None,
        "ok": [True, 1.5],
    }
    request = broker.take()
    assert (request.service, request.method, request.class_, request.priority) == (
        "catalog",
        "products_get",
        0,
        2,
    )
    assert request.body == {"key": "walnut-board"}
    assert 1 <= request.timeout_ms <= 2000
    assert (request.key, request.key_hash, request.principal, request.attempt, request.flags) == (
        None,
        None,
        None,
        0,
        0,
    )


def test_query_parameters_reach_the_service_with_their_types(gateway, broker):
    broker.answers["products_list"] = rep(
        {"data": [], "page": {"limit": 2, "next": None, "total": 0}, "revision": "7"}
    )
    answer = gateway.get(
        "/v1/products?q=a+b%2Bc&limit=2&tag=gift&tag=wood&option.color=red&option.color=blue&attribute.material=oak&sort=-price&&"
    )
    assert answer.status == 200
    assert answer.headers["etag"] == '"7"'
    assert "link" not in answer.headers
    assert broker.take().body == {
        "q": "a b+c", "limit": 2, "tag": ["gift", "wood"], "sort": "-price",
        "option": {"color": ["red", "blue"]}, "attribute": {"material": ["oak"]},
    }  # fmt: skip


def test_a_next_page_is_linked(gateway, broker):
    broker.answers["products_list"] = rep(
        {"data": [], "page": {"limit": 1, "next": "a/b=", "total": 3}, "revision": "7"}
    )
    answer = gateway.get("/v1/products?limit=1&cursor=old&q=x%20y")
    assert answer.headers["link"] == '</v1/products?limit=1&q=x%20y&cursor=a%2Fb%3D>; rel="next"'


def test_not_modified(gateway, broker):
    broker.answers["products_get"] = rep({"version": 3})
    with gateway.client() as client:
        for tags in ('"3"', 'W/"3"', '"1", "3"', "*"):
            answer = client.get("/v1/products/a", If_None_Match=tags)
            assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", '"3"'), tags
            assert "content-type" not in answer.headers and "content-length" not in answer.headers
        assert client.get("/v1/products/a", If_None_Match='"4"').status == 200


def test_an_etag_may_have_a_second_part(gateway, broker):
    """What changes without a new version: products' availability."""
    broker.answers["products_get"] = rep({"version": 3, "availability_tag": "9ae1"})
    with gateway.client() as client:
        assert client.get("/v1/products/a").headers["etag"] == '"3-9ae1"'
        assert client.get("/v1/products/a", If_None_Match='"3-9ae1"').status == 304
        assert client.get("/v1/products/a", If_None_Match='"3"').status == 200
        broker.answers["products_get"] = rep({"version": 3, "availability_tag": 'a"b'})
        assert "etag" not in client.get("/v1/products/a").headers


def test_head_is_get_without_the_body(gateway, broker):
    broker.answers["products_get"] = rep({"version": 3})
    with gateway.client() as client:
        get = client.get("/v1/products/a")
        head = client.request("HEAD", "/v1/products/a")
        assert head.status == 200
        own = {"x-request-id": "", "date": "", "ratelimit": ""}
        assert head.headers | own == get.headers | own
        assert client.get("/v1/products/a").body == get.body


def test_options_tells_what_a_path_allows(gateway):
    with gateway.client() as client:
        answer = client.request("OPTIONS", "/v1/admin/products/x")
        assert (answer.status, answer.headers["allow"]) == (
            204,
            "GET, HEAD, PATCH, DELETE, OPTIONS",
        )
        assert client.request("OPTIONS", "*").status == 204
        assert client.request("OPTIONS", "/nowhere").status == 404


def test_created_has_a_location_and_its_key_travels(start, broker, tmp_path):
    write_keys(tmp_path, {"admin": ["catalog:write"]})
    gateway = start()
    broker.answers["products_create"] = rep({"id": PRODUCT_ID, "version": 1}, flags=1)
    body = b'{"slug":"a","name":"A","variants":[{"sku":"S","price":{"amount":1,"currency":"EUR"}}]}'
    headers = {
        "Authorization": f"Bearer souk_admin_{SECRET}",
        "Idempotency-Key": "k-1",
        "Content-Type": "application/json; charset=utf-8",
    }
    with gateway.client() as client:
        answer = client.request("POST", "/v1/admin/products", headers, body)
        assert answer.status == 201
        assert answer.headers["location"] == f"/v1/products/{PRODUCT_ID}"
        assert answer.headers["idempotency-replayed"] == "true"
        assert answer.headers["cache-control"] == "private, no-cache"
        request = broker.take()
        assert (request.class_, request.key) == (1, "k-1")
        assert request.key_hash == hashlib.sha256(b"POST /v1/admin/products\n" + body).digest()
        assert request.principal == {
            "sub": "key_admin",
            "kind": "api_key",
            "scopes": ["catalog:write"],
        }
        assert request.body["variants"] == [{"sku": "S", "price": {"amount": 1, "currency": "EUR"}}]
        del headers["Idempotency-Key"]
        assert client.request("POST", "/v1/admin/products", headers, body).status == 201
        request = broker.take()
        assert (request.class_, request.key, request.key_hash) == (2, None, None)
        refused = client.request(
            "POST", "/v1/admin/products", {**headers, "Idempotency-Key": "a b"}, body
        )
        assert refused.status == 400
        assert refused.problem()["errors"][0]["pointer"] == "Idempotency-Key"


def test_no_content(start, broker, tmp_path):
    write_keys(tmp_path, {"admin": ["*"]})
    broker.answers["products_delete"] = rep({})
    with start().client() as client:
        headers = {"Authorization": f"Bearer souk_admin_{SECRET}", "If-Match": '"3"'}
        answer = client.request("DELETE", f"/v1/admin/products/{PRODUCT_ID}", headers)
        assert (answer.status, answer.body) == (204, b"")
        assert "content-length" not in answer.headers and "content-type" not in answer.headers
        assert broker.take().body == {"id": PRODUCT_ID, "if_match": "3"}
        headers.pop("If-Match")
        assert (
            client.request("DELETE", f"/v1/admin/products/{PRODUCT_ID}", headers).problem()["code"]
            == "precondition_required"
        )


def test_request_ids_and_trace_go_through(gateway, broker):
    broker.answers["fixed"] = rep(FIXED)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with gateway.client() as client:
        answer = client.get(
            "/v1/diag/fixed", X_Request_Id="my-id.1", Traceparent=f"00-{trace}-00f067aa0ba902b7-01"
        )
        assert answer.headers["x-request-id"] == "my-id.1"
        request = broker.take()
        assert request.request_id == "my-id.1"
        assert re.fullmatch(f"00-{trace}-[0-9a-f]{{16}}-01", request.traceparent)
        assert request.traceparent[36:52] != "00f067aa0ba902b7"
        event = gateway.wait_event("GW-ACCESS", request_id="my-id.1")
        assert (event["trace_id"], event["route"], event["method"], event["status"]) == (
            trace,
            "/v1/diag/fixed",
            "GET",
            200,
        )
        for bad_id, bad_trace in (
            ("x" * 65, "00-" + "0" * 32 + "-00f067aa0ba902b7-01"),
            ("a b", f"ff-{trace}-00f067aa0ba902b7-01"),
            ("", "x"),
        ):
            answer = client.get("/v1/diag/fixed", X_Request_Id=bad_id, Traceparent=bad_trace)
            request = broker.take()
            assert answer.headers["x-request-id"] == request.request_id != bad_id
            assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", request.traceparent)
            assert trace not in request.traceparent
        assert client.get("/nowhere", X_Request_Id="e1").problem()["request_id"] == "e1"


def test_chunked_and_plain_bodies_are_the_same(gateway, broker):
    broker.answers["echo"] = lambda req: rep({"text": req.body["text"], "worker": "w"})(req)
    with gateway.client() as client:
        head = b"POST /v1/diag/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        client.send(
            head
            + b'Transfer-Encoding: chunked\r\n\r\n5;x=y\r\n{"tex\r\n8\r\nt":"hi"}\r\n0\r\nX-Sum: 1\r\n\r\n'
        )
        assert client.read().json()["text"] == "hi"
        client.send(head + b'Content-Length: 13\r\n\r\n{"text":"hi"}')
        assert client.read().json()["text"] == "hi"


def test_expect_continue(gateway, broker):
    broker.answers["echo"] = rep({"text": "x", "worker": "w"})
    head = b"POST /v1/diag/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n"
    with gateway.client() as client:
        client.send(head)
        assert client.read().status == 100
        client.send(b'{"text":"x"}')
        assert client.read().status == 200
        client.send(head.replace(b"application/json", b"text/plain"))
        assert client.read().status == 415  # at once, and the body is not waited for
        assert client.at_end()


def test_absolute_form_and_http_1_0(gateway, broker):
    broker.answers["fixed"] = rep(FIXED)
    with gateway.client() as client:
        client.send(b"GET http://other.example/v1/diag/fixed HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read().status == 200
        client.send(b"GET /v1/diag/fixed HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = client.read()
        assert (answer.status, answer.version, answer.headers["connection"]) == (
            200,
            "HTTP/1.1",
            "keep-alive",
        )
        client.send(b"GET /v1/diag/fixed HTTP/1.0\r\n\r\n")
        assert client.read().headers["connection"] == "close"
        assert client.at_end()


def test_pages_of_our_own(gateway):
    with gateway.client() as client:
        api = client.get("/openapi.json")
        assert api.json()["openapi"].startswith("3.1")
        assert "/v1/products/{key}" in api.json()["paths"]
        assert client.get("/openapi.json", If_None_Match=api.headers["etag"]).status == 304
        docs = client.get("/docs")
        assert docs.headers["content-type"].startswith("text/html")
        assert not re.search(rb"(src|href)=\"https?:", docs.body), (
            "the page needs nothing from outside"
        )
        assert "default-src 'none'" in docs.headers["content-security-policy"]
        assert client.get("/").json()["docs"] == "/docs"
        assert client.get("/healthz").json() == {"status": "ok"}
        wait(lambda: client.get("/readyz").json() == {"status": "ready"}, "health follows the keys")
        assert client.get("/metrics").status == 404
    assert (
        gateway.metric('souk_gateway_requests_total{method="GET",route="/docs",status="2xx"}') == 1
    )


def test_cors(start, broker):
    broker.answers["fixed"] = rep(FIXED)
    gateway = start(cors_origins="https://shop.example,http://localhost:3000")
    with gateway.client() as client:
        asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "PATCH"}
        answer = client.request("OPTIONS", "/v1/admin/products/x", asked)
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert "PATCH" in answer.headers["access-control-allow-methods"]
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        answer = client.get("/v1/diag/fixed", Origin="https://shop.example")
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert answer.headers["vary"] == "Origin"
        assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
        assert (
            "access-control-allow-origin"
            in client.get("/nowhere", Origin="https://shop.example").headers
        )
        answer = client.get("/v1/diag/fixed", Origin="https://evil.example")
        assert (answer.status, answer.headers["vary"]) == (200, "Origin")
        assert "access-control-allow-origin" not in answer.headers
        answer = client.request(
            "OPTIONS", "/v1/diag/fixed", {**asked, "Origin": "https://evil.example"}
        )
        assert "access-control-allow-methods" not in answer.headers


@pytest.mark.parametrize("threads", [1, 3])
def test_many_connections_on_several_threads(start, broker, threads):
    broker.answers["echo"] = lambda req: rep({"text": req.body["text"], "worker": "w"})(req)
    gateway = start(threads=threads)
    clients = [gateway.client() for _ in range(200)]
    for turn in range(3):
        for number, client in enumerate(clients):
            client.request("POST", "/v1/diag/echo", body={"text": f"{turn}-{number}"}, read=False)
        for number, client in enumerate(clients):
            assert client.read().json()["text"] == f"{turn}-{number}"
    assert gateway.metric("souk_gateway_connections") == 200
    for client in clients:
        client.close()


def test_worker_errors_keep_their_texts(gateway, broker):
    items = [{"pointer": "/slug", "reason": "is taken", "in": "body"}]
    broker.answers["fixed"] = err(
        "slug_taken", detail="Slug a is used.", errors=items, retry_after_ms=1500
    )
    answer = gateway.get("/v1/diag/fixed")
    problem = answer.problem()
    assert (answer.status, problem["code"], problem["detail"], problem["errors"]) == (
        409,
        "slug_taken",
        "Slug a is used.",
        items,
    )
    assert problem["instance"] == "/v1/diag/fixed"
    assert answer.headers["retry-after"] == "2"
