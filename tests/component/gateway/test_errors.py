"""Every error class that a client can meet."""

import pytest
from conftest import PRODUCT_ID, SECRET, write_keys

from broker import err, rep

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /v1/diag/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

# Refused with this status and a close: what request smuggling uses, and what is no HTTP/1.
FATAL = {
    "both lengths": (
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", 400),
    "length with a sign": (POST + b"Content-Length: +5\r\n\r\nabcde", 400),
    "list of lengths": (POST + b"Content-Length: 5,5\r\n\r\nabcde", 400),
    "length with more behind": (POST + b"Content-Length:  5 x\r\n\r\nabcde", 400),
    "unknown coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "obscured coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
    "coding in 1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "chunk size with a sign": (CHUNKED + b"+5\r\nabcde\r\n0\r\n\r\n", 400),
    "chunk size in 0x": (CHUNKED + b"0x5\r\nabcde\r\n0\r\n\r\n", 400),
    "chunk without CRLF": (CHUNKED + b"5\r\nabcdeX\r\n", 400),
    "chunk extension too long": (CHUNKED + b"5;a=" + b"b" * 300 + b"\r\nabcde\r\n", 400),
    "trailer that frames": (CHUNKED + b"0\r\nContent-Length: 3\r\n\r\n", 400),
    "obs-fold": (HEAD + b"X: a\r\n b\r\n\r\n", 400),
    "bare LF": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "bare CR": (HEAD + b"X: a\rY: b\r\n\r\n", 400),
    "space before colon": (HEAD + b"X : a\r\n\r\n", 400),
    "NUL": (HEAD + b"X: a\0\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (HEAD + b"Host: b\r\n\r\n", 400),
    "bad name": (HEAD + b"X@Y: a\r\n\r\n", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/0.9": (b"GET /\r\n", 400),
    "lower-case method": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "unknown method": (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "expectation": (POST + b"Expect: tea\r\nContent-Length: 0\r\n\r\n", 417),
    "long target": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "large header": (HEAD + b"X: " + b"a" * 17000 + b"\r\n\r\n", 431),
    "many fields": (HEAD + b"X: a\r\n" * 70 + b"\r\n", 431),
    "body too large": (POST + b"Content-Length: 65537\r\n\r\n", 413),
    "chunked body too large": (CHUNKED + b"10001\r\n", 413),
    "body where none belongs": (
        b"GET /v1/diag/fixed HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
        413,
    ),
}


@pytest.mark.parametrize("name", FATAL)
def test_refused_and_closed(gateway, broker, name):
    data, status = FATAL[name]
    with gateway.client() as client:
        client.send(data + b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.read()
        assert answer.status == status
        assert answer.headers["connection"] == "close"
        answer.problem()
        assert client.at_end(), "what stands behind a refused request is not read"
    assert broker.requests.empty()


def test_fields_are_listed_with_pointers(gateway, broker):
    with gateway.client() as client:
        answer = client.request("POST", "/v1/diag/echo", body={"number": "x", "other": 1})
        assert answer.status == 422
        found = {(item["in"], item["pointer"]) for item in answer.problem()["errors"]}
        assert found == {("body", "/text"), ("body", "/number"), ("body", "/other")}
        answer = client.request("POST", "/v1/diag/echo", body=b'{"text": }')
        assert (answer.status, answer.problem()["code"]) == (400, "malformed")
        answer = client.request("POST", "/v1/diag/echo", body=b"")
        assert answer.status == 422
        assert client.request("POST", "/v1/diag/echo", body=b'{"text":"a","text":"b"}').status in (
            400,
            422,
        )
        assert client.request("POST", "/v1/diag/echo", body=b'{"text":"\xff"}').status == 400
    assert broker.requests.empty()


def test_query_and_path_errors(gateway, broker):
    with gateway.client() as client:
        answer = client.get("/v1/products?limit=0&colour=red&sort=up")
        assert answer.status == 400
        problem = answer.problem()
        assert problem["code"] == "unknown_parameter"
        assert {item["pointer"] for item in problem["errors"]} == {"limit", "colour", "sort"}
        assert all(item["in"] == "query" for item in problem["errors"])
        assert client.get("/v1/products?limit=0").status == 422
        assert client.get("/v1/products?limit=1&limit=2").status in (400, 422)
        assert client.get("/v1/products?q=%zz").problem()["code"] == "malformed"
        assert client.get("/v1/products?q=%ff").problem()["code"] == "malformed"
        assert client.get("/v1/products?q=a%00b").problem()["code"] == "malformed"
        answer = client.get("/v1/products/%2")
        assert answer.problem()["errors"][0] | {"reason": ""} == {
            "in": "path",
            "pointer": "key",
            "reason": "",
        }
    assert broker.requests.empty()


def test_no_such_path_or_method(gateway):
    with gateway.client() as client:
        assert client.get("/v2/products").problem()["code"] == "not_found"
        assert client.get("/v1/products/").status == 404
        answer = client.request("PUT", "/v1/products")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert answer.problem()["code"] == "method_not_allowed"
        # A small body of a refused request is read, so that the connection can go on.
        assert client.request("POST", "/nowhere", body={"a": 1}).status == 404
        assert client.get("/healthz").status == 200


def test_media_type(gateway):
    with gateway.client() as client:
        answer = client.request("POST", "/v1/diag/echo", {"Content-Type": "text/plain"}, b"hello")
        assert answer.problem()["code"] == "unsupported_media_type"
        assert client.request("POST", "/v1/diag/echo", {"Content-Type": None}, b"{}").status == 415


def test_credentials(start, broker, tmp_path):
    write_keys(tmp_path, {"reader": ["catalog:read"]})
    gateway = start()
    broker.answers["admin_products_get"] = rep({"version": 1})
    with gateway.client() as client:
        answer = client.get("/v1/admin/products/x")
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="souk"')
        assert answer.problem()["code"] == "unauthenticated"
        for bad in (
            f"Basic souk_reader_{SECRET}",
            f"Bearer souk_reader_{SECRET}x",
            f"Bearer souk_other_{SECRET}",
            "Bearer",
        ):
            assert client.get("/v1/admin/products/x", Authorization=bad).status == 401, bad
        good = f"Bearer souk_reader_{SECRET}"
        assert client.get("/v1/admin/products/x", Authorization=good).status == 200
        answer = client.request(
            "DELETE", f"/v1/admin/products/{PRODUCT_ID}", {"Authorization": good, "If-Match": '"1"'}
        )
        assert answer.problem()["code"] == "forbidden"
        assert answer.status == 403


def test_keys_are_reloaded(start, broker, tmp_path):
    gateway = start()
    broker.answers["admin_products_get"] = rep({"version": 1})
    gateway.wait_event("GW-KEYS-MISSING")
    good = f"Bearer souk_later_{SECRET}"
    with gateway.client() as client:
        assert client.get("/v1/admin/products/x", Authorization=good).status == 401
        write_keys(tmp_path, {"later": ["*"]})
        gateway.wait_event("GW-KEYS-LOADED")
        assert client.get("/v1/admin/products/x", Authorization=good).status == 200
        write_keys(tmp_path, None)
        gateway.wait_event("GW-KEYS-BAD")
        assert client.get("/v1/admin/products/x", Authorization=good).status == 200
        write_keys(tmp_path, {})
        gateway.wait_event("GW-KEYS-LOADED", count=2)
        assert client.get("/v1/admin/products/x", Authorization=good).status == 401


@pytest.mark.parametrize(
    ("code", "status", "shown"),
    [
        ("not_found", 404, "not_found"),
        ("precondition_failed", 412, "precondition_failed"),
        ("sku_taken", 409, "sku_taken"),
        ("key_reused", 422, "key_reused"),
        ("key_in_progress", 409, "key_in_progress"),
        ("overloaded", 503, "overloaded"),
        ("no_worker", 503, "no_worker"),
        ("deadline_exceeded", 503, "deadline_exceeded"),
        ("unavailable", 503, "unavailable"),
        ("timeout", 504, "timeout"),
        ("unknown_outcome", 504, "unknown_outcome"),
        ("worker_lost", 504, "worker_lost"),
        ("unknown_method", 501, "unknown_method"),
        ("internal", 500, "internal"),
        ("no_memory", 500, "internal"),  # not public
        ("io", 500, "internal"),
        ("brand_new_error", 500, "internal"),  # of a newer worker
    ],
)
def test_errors_of_the_bus(gateway, broker, code, status, shown):
    broker.answers["fixed"] = err(code, detail="secret path /etc/x")
    answer = gateway.get("/v1/diag/fixed")
    assert (answer.status, answer.problem()["code"]) == (status, shown)
    assert ("retry-after" in answer.headers) == (status == 503 or code == "key_in_progress")
    if shown == "internal":
        assert b"secret" not in answer.body


BAD_REPLIES = {
    "no msgpack": b"\xc1",
    "cut short": b"\x81\xa1a",
    "more behind": b"\x80\x80",
    "key that is no text": b"\x81\x01\x02",
    "bad UTF-8": b"\x81\xa1a\xa1\xff",
    "NaN": b"\x81\xa1a\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
    "too deep": b"\x91" * 40 + b"\xc0",
    "too large": b"\x81\xa1a\xda\xff\xff" + b"x" * 65535 + b"",
    "four billion elements": b"\xdd\xff\xff\xff\xff",
    "other extension": b"\x81\xa1a\xd4\x05\x00",
}


@pytest.mark.parametrize("name", BAD_REPLIES)
def test_replies_that_cannot_be_read(gateway, broker, name):
    broker.answers["fixed"] = rep(BAD_REPLIES[name])
    with gateway.client() as client:
        answer = client.get("/v1/diag/fixed")
        assert (answer.status, answer.problem()["code"]) == (502, "bad_reply")
        broker.answers["fixed"] = rep({"items": []})
        assert client.get("/v1/diag/fixed").status == 200


def test_error_bodies_that_cannot_be_read(gateway, broker):
    broker.answers["fixed"] = lambda req: [1, 7, req.corr, 0, None, b"\xc1"]
    answer = gateway.get("/v1/diag/fixed")
    assert answer.status in (500, 502)
    answer.problem()


def test_texts_of_a_worker_are_bounded(gateway, broker):
    nasty = "\x01" * 1024
    items = [{"pointer": nasty, "reason": nasty, "in": nasty}] * 16
    broker.answers["fixed"] = err("not_found", detail=nasty, errors=items)
    broker.answers["products_list"] = rep(
        {"data": [], "page": {"next": "c" * 500_000}, "revision": "r" * 500_000}
    )
    with gateway.client() as client:
        answer = client.get("/v1/diag/fixed")
        assert (answer.status, answer.problem()["detail"], len(answer.json()["errors"])) == (
            404,
            nasty,
            16,
        )
        broker.answers["fixed"] = err(
            "not_found",
            detail="x" * 1025,
            errors=[{"pointer": "/a", "reason": "x" * 1025, "in": "body"}],
        )
        assert "detail" not in client.get("/v1/diag/fixed").problem()
        answer = client.get("/v1/products?" + "q=" + "%20a" * 40)
        assert answer.status in (200, 502)
        assert "link" not in answer.headers and "etag" not in answer.headers
        broker.answers["products_list"] = rep(
            {"data": [], "page": {"next": "/" * 1024}, "revision": "r"}
        )
        answer = client.get("/v1/products?" + "&" * 7000 + "limit=3")
        assert answer.headers["link"].endswith('%2F>; rel="next"')


def test_location_and_etag_cannot_break_the_head(start, broker, tmp_path):
    write_keys(tmp_path, {"admin": ["*"]})
    broker.answers["products_create"] = rep({"id": "a/b c\u00e9", "version": "x\r\nX-Evil: 1"})
    with start().client() as client:
        body = {
            "slug": "a",
            "name": "A",
            "variants": [{"sku": "S", "price": {"amount": 1, "currency": "EUR"}}],
        }
        answer = client.request(
            "POST", "/v1/admin/products", {"Authorization": f"Bearer souk_admin_{SECRET}"}, body
        )
        assert answer.status == 201
        assert answer.headers["location"] == "/v1/products/a%2Fb%20c%C3%A9"
        assert "x-evil" not in answer.headers and "etag" not in answer.headers
        broker.answers["products_create"] = rep({"id": "a\r\nX-Evil: 1", "version": 1})
        answer = client.request(
            "POST", "/v1/admin/products", {"Authorization": f"Bearer souk_admin_{SECRET}"}, body
        )
        assert (answer.status, "x-evil" in answer.headers) == (201, False)


def test_rate_limit_by_address(start):
    gateway = start(rate_per_address=1, rate_burst_s=3)
    with gateway.client() as client:
        answers = [client.get("/healthz") for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"default";q=3;w=3'
        assert answers[0].headers["ratelimit"].startswith('"default";r=2;t=')
        assert 1 <= int(answers[3].headers["retry-after"]) <= 3
        assert answers[3].problem()["code"] == "rate_limited"
    assert gateway.metric('souk_gateway_rate_limited_total{by="address"}') == 1


def test_rate_limit_by_key(start, broker, tmp_path):
    write_keys(tmp_path, {"one": ["*"], "two": ["*"]})
    broker.answers["admin_products_get"] = rep({"version": 1})
    gateway = start(rate_per_key=1, rate_burst_s=2, rate_per_address=0)
    with gateway.client() as client:
        one = {"Authorization": f"Bearer souk_one_{SECRET}"}
        assert [client.request("GET", "/v1/admin/products/x", one).status for _ in range(3)] == [
            200,
            200,
            429,
        ]
        two = {"Authorization": f"Bearer souk_two_{SECRET}"}
        assert client.request("GET", "/v1/admin/products/x", two).status == 200
        assert client.get("/healthz").status == 200
