"""One request, one answer: replies, faults, caps."""

import json

import msgpack
import pytest
from scripted import ERR, REFUSED, REP


@pytest.mark.parametrize("method", ["echo", "echo_inline"])
def test_echo_from_each_lane(serving, method):
    broker, _ = serving
    body = {"text": "Grüße, 世界", "number": -5}
    assert broker.call("diag", method, body) == (REP, {**body, "worker": "w-1"})


def test_an_absent_field_stays_absent(serving):
    broker, _ = serving
    assert broker.call("diag", "echo", {"text": ""}) == (REP, {"text": "", "worker": "w-1"})


def test_fixed_is_the_same_from_both_lanes_and_about_1300_bytes_of_json(serving):
    broker, _ = serving
    kind, inline = broker.call("diag", "fixed")
    assert kind == REP
    assert broker.call("diag", "fixed_slot") == (REP, inline)
    assert len(inline["items"]) == 8
    assert 1200 < len(json.dumps(inline, separators=(",", ":"))) < 1500


def test_a_reply_says_how_long_it_ran(serving):
    broker, _ = serving
    answer = broker.answer(broker.ask("lab", "spin", {"name": "x", "number": 3000}))
    assert answer[3] == 0
    assert answer[4]["exec_us"] >= 3000


@pytest.mark.parametrize("corr", [b"x", b"0123456789abcdef", b"\x00" * 16])
def test_corr_comes_back_unchanged(serving, corr):
    broker, _ = serving
    assert broker.answer(broker.ask("diag", "echo", {"text": "x"}, corr=corr))[2] == corr


@pytest.mark.parametrize("method", ["echo", "echo_inline"])
def test_bad_fields_come_back_with_pointers(serving, method):
    broker, _ = serving
    kind, fault = broker.call("diag", method, {"text": "a\x01b", "number": "five"})
    assert kind == ERR and fault["code"] == "validation"
    assert {row["pointer"] for row in fault["errors"]} == {"/text", "/number"}
    assert all(row["in"] == "body" and row["reason"] for row in fault["errors"])


def test_a_missing_field_is_named(serving):
    broker, _ = serving
    kind, fault = broker.call("diag", "echo", {})
    assert kind == ERR and [row["pointer"] for row in fault["errors"]] == ["/text"]


def test_fields_of_a_newer_client_are_ignored(serving):
    broker, _ = serving
    assert broker.call("diag", "echo", {"text": "x", "colour": {"deep": [1, 2]}})[0] == REP


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x81\xa4text", b"\x93\x01\x02\x03", b"\xc0", b"\x80\x80"]
)
def test_a_body_that_is_no_map_is_malformed(serving, body):
    broker, _ = serving
    kind, fault = broker.call("diag", "echo_inline", body)
    assert kind == ERR and fault["code"] in ("malformed", "validation")


def test_an_unknown_method_or_service(serving):
    broker, _ = serving
    assert broker.call("diag", "nothing")[1]["code"] == "unknown_method"
    assert broker.call("nobody", "echo")[1]["code"] == "unknown_method"


READ, KEYED, UNKEYED, EXTERNAL = range(4)


@pytest.mark.parametrize(
    ("method", "class_", "key", "key_hash", "fits"),
    [
        ("spin", READ, None, None, True),
        ("spin", UNKEYED, None, None, True),
        ("spin", KEYED, "k", bytes(32), False),
        ("write", UNKEYED, None, None, True),
        ("write", READ, None, None, False),
        ("write", KEYED, "k", bytes(32), False),
        ("write", EXTERNAL, None, None, False),
        ("put", KEYED, "k", bytes(32), True),
        ("put", UNKEYED, None, None, True),
        ("put", READ, None, None, False),
        ("place", KEYED, "k", bytes(32), True),
        ("place", KEYED, "k", None, False),
        ("place", UNKEYED, None, None, False),
        ("place", READ, None, None, False),
    ],
)
def test_a_request_is_of_the_class_of_its_method(serving, method, class_, key, key_hash, fits):
    """Else a broker would give a write away twice."""
    broker, _ = serving
    request = broker.request("lab", method, {"name": "x", "number": 0})
    request[6], request[10], request[11] = class_, key, key_hash
    broker.send(request)
    answer = broker.answer(request[2])
    if fits:
        assert answer[1] == REP
    else:
        assert answer[1] == ERR and msgpack.unpackb(answer[5])["code"] == "malformed"
    broker.settle()
    assert broker.call("diag", "echo", {"text": "x"})[0] == REP, "its place is free again"


def test_a_req_that_breaks_the_protocol_is_answered_when_corr_can_be_read(serving):
    broker, _ = serving
    request = broker.request("diag", "echo", {"text": "x"})
    request[3] = "soon"
    broker.send(request)
    answer = broker.answer(request[2])
    assert answer[1] == ERR and msgpack.unpackb(answer[5])["code"] == "malformed"


def test_an_error_of_ours_says_nothing_but_internal(serving):
    broker, worker = serving
    kind, fault = broker.call("lab", "fail", {"name": "x"}, request_id="req-77")
    assert kind == ERR and fault == {"code": "internal"}
    logged = worker.event("WK-CALL-FAILED")
    assert (logged["error"], logged["request_id"], logged["detail"]) == (
        "io",
        "req-77",
        "a secret of the worker",
    )


def test_a_reply_beyond_its_cap_is_an_error(serving):
    broker, worker = serving
    kind, fault = broker.call("lab", "big", {"name": "x"})
    assert kind == ERR and fault["code"] == "bad_reply"
    assert worker.event("WK-CALL-FAILED")["error"] == "bad_reply"


def test_memory_beyond_the_cap_fails_the_call_even_when_the_handler_does_not_look(serving):
    broker, worker = serving
    assert broker.call("lab", "hog", {"name": "x", "number": 4096})[0] == REP
    kind, fault = broker.call("lab", "hog", {"name": "x", "number": 100000})
    assert kind == ERR and fault["code"] == "internal"
    assert worker.event("WK-CALL-FAILED")["error"] == "no_memory"
    assert broker.call("lab", "hog", {"name": "x", "number": 4096})[0] == REP, (
        "the next call has its memory again"
    )


def test_a_reply_beyond_the_brokers_envelope_is_an_error(make_broker, worker):
    broker = make_broker(envelope_bytes_max=1024)
    broker.welcome()
    broker.introduced(("diag", 0))
    kind, fault = broker.call("diag", "fixed")
    assert kind == ERR and fault["code"] == "bad_reply"


def test_a_request_id_is_found_in_the_log(serving):
    broker, worker = serving
    broker.call("diag", "echo", {"text": "x"}, request_id="find-me")
    broker.call("diag", "echo", {}, request_id="find-me-too")
    found = {row["request_id"]: row["error"] for row in worker.events("WK-CALL")}
    assert found == {"find-me": "ok", "find-me-too": "validation"}


def test_many_requests_in_one_frame_are_all_answered(serving):
    broker, _ = serving
    requests = [broker.request("diag", "echo_inline", {"text": str(at)}) for at in range(200)]
    broker.send(*requests)
    for at, request in enumerate(requests):
        answer = broker.answer(request[2])
        assert answer[1] == REP and msgpack.unpackb(answer[5])["text"] == str(at)


def test_calls_are_counted_by_result(serving):
    broker, worker = serving
    broker.call("diag", "echo", {"text": "x"})
    broker.call("diag", "echo", {})
    name = 'souk_worker_calls_total{{service="diag",method="echo",result="{}"}}'
    assert worker.metric(name.format("ok")) == 1
    assert worker.metric(name.format("error")) == 1
    assert broker.call("diag", "echo", {"text": "x"}, timeout_ms=1)[0] == REFUSED
    assert worker.metric(name.format("refused")) == 1
