"""Connections: order, bounds, slow and vanishing clients, time, the broker's absence, the drain."""

import json
import os
import select
import signal
import socket
import struct
import subprocess
import time

import pytest
from client import Client
from conftest import BIN

from broker import err, rep

FIXED = b"GET /v1/diag/fixed HTTP/1.1\r\nHost: a\r\n\r\n"
PAGE = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


def test_pipelined_answers_keep_the_order_of_their_requests(gateway, broker):
    with gateway.client() as client:
        client.send(FIXED + PAGE + FIXED + b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        first, second = broker.take(), broker.take()
        broker.answer(second, rep({"items": [2]}))
        broker.answer(first, rep({"items": [1]}))
        answers = [client.read() for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 404]
        assert answers[0].json() == {"items": [1]}
        assert answers[1].json() == {"status": "ok"}
        assert answers[2].json() == {"items": [2]}


def test_so_many_requests_of_a_connection_are_in_progress(start, broker):
    gateway = start(pipeline_max=3)
    with gateway.client() as client:
        client.send(FIXED * 50)
        open_requests = [broker.take() for _ in range(3)]
        with gateway.client() as other:  # all that the first one sent has been looked at by now
            assert other.get("/healthz").status == 200
        assert broker.requests.empty()
        for number in range(50):
            broker.answer(open_requests.pop(0), rep({"items": [number]}))
            assert client.read().json() == {"items": [number]}
            if number < 47:
                open_requests.append(broker.take())
        assert client.get("/healthz").status == 200


def test_a_client_that_reads_nothing_holds_up_only_itself(start, broker):
    gateway = start(pipeline_max=8)
    broker.answers["fixed"] = rep({"items": ["x" * 60000]})
    with gateway.client(receive_buffer=4096) as slow:
        sent = 0
        slow.socket.setblocking(False)
        try:  # until the gateway does not read any more either
            while sent < 64 << 20:
                sent += slow.socket.send(FIXED * 100)
        except BlockingIOError:
            pass
        assert sent < 64 << 20
        with gateway.client() as quick:
            for _ in range(20):
                assert quick.get("/v1/diag/fixed").status == 200
        slow.socket.setblocking(True)
        slow.socket.settimeout(10)
        for _ in range(50):
            assert len(slow.read().json()["items"][0]) == 60000


def test_large_answers_arrive_whole(gateway, broker):
    text = "".join(chr(0x21 + i % 90) for i in range(500_000))
    broker.answers["products_get"] = rep({"version": 1, "name": text})
    with gateway.client(receive_buffer=4096) as client:
        for _ in range(3):
            assert client.get("/v1/products/a").json()["name"] == text


def test_a_write_that_stalls_ends(start, broker):
    gateway = start(write_ms=100)
    broker.answers["products_get"] = rep({"version": 1, "name": "x" * 900_000})
    with gateway.client(receive_buffer=4096) as client:
        client.send(b"GET /v1/products/a HTTP/1.1\r\nHost: a\r\n\r\n" * 16)
        with gateway.client() as other:
            for _ in range(16):
                broker.take()
            wait_for_metric(gateway, "souk_gateway_connections", 1)
            assert other.get("/healthz").status == 200


def wait_for_metric(gateway, name, value, timeout=10):
    """Ask until a metric has a value; each question is a round trip."""
    end = time.monotonic() + timeout
    while gateway.metric(name) != value:
        assert time.monotonic() < end, f"{name} is {gateway.metric(name)}, not {value}"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"G", 408),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: ", 408),
        (
            b"POST /v1/diag/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{",
            408,
        ),
        (b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n{", 404),
    ],
)
def test_requests_that_do_not_come_in_time(start, sent, status):
    gateway = start(head_ms=60, body_ms=60)
    with gateway.client() as client:
        client.send(sent)
        assert client.read().status == status
        assert client.at_end()


def test_a_trickle_does_not_prolong_the_time(start):
    gateway = start(head_ms=200)
    with gateway.client() as client:
        client.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
        for turn in range(
            10_000
        ):  # a field every 10 ms would take a hundred seconds, if each were given new time
            readable, _, _ = select.select([client.socket], [], [], 0.01)
            if readable:
                break
            client.send(b"X: y\r\n" if turn < 40 else b"")
        assert client.read().status == 408


def test_idle_connections_end(start):
    gateway = start(idle_ms=60)
    with gateway.client() as never, gateway.client() as once:
        assert once.get("/healthz").status == 200
        assert never.at_end()
        assert once.at_end()


def test_connections_of_one_address_are_bounded(start):
    gateway = start(connections_per_address=3)
    clients = [gateway.client() for _ in range(3)]
    for client in clients:
        assert client.get("/healthz").status == 200
    with gateway.client() as refused:
        assert refused.at_end()
    clients.pop().close()
    wait_for_metric(gateway, "souk_gateway_connections", 2)
    with gateway.client() as again:
        assert again.get("/healthz").status == 200
    assert gateway.metric('souk_gateway_connections_total{outcome="refused_address"}') == 1


def test_connections_in_all_are_bounded(start):
    gateway = start(connections_max=2)
    first, second = gateway.client(), gateway.client()
    assert first.get("/healthz").status == second.get("/healthz").status == 200
    with gateway.client() as waiting:
        waiting.request("GET", "/healthz", read=False)
        first.close()  # only now there is room
        assert waiting.read().status == 200
    assert second.get("/healthz").status == 200


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
def test_a_client_that_goes_away_cancels_its_calls(gateway, broker, how):
    client = gateway.client()
    client.send(FIXED + FIXED)
    corrs = {broker.take().corr, broker.take().corr}
    if how == "reset":
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if how == "half-close":
        client.socket.shutdown(socket.SHUT_WR)
        assert client.at_end()
    client.close()
    assert {broker.cancels.get(timeout=5), broker.cancels.get(timeout=5)} == corrs
    wait_for_metric(gateway, "souk_gateway_connections", 0)
    assert gateway.metric("souk_gateway_cancelled_total") == 2
    assert gateway.metric("souk_gateway_calls_outstanding") == 0


def test_a_client_that_goes_away_with_a_full_pipeline_is_noticed(start, broker):
    gateway = start(pipeline_max=2)
    client = gateway.client()
    client.send(FIXED * 5)
    corrs = {broker.take().corr, broker.take().corr}
    client.close()
    assert {broker.cancels.get(timeout=5), broker.cancels.get(timeout=5)} == corrs
    wait_for_metric(gateway, "souk_gateway_connections", 0)
    assert gateway.metric("souk_gateway_cancelled_total") == 2


def test_ready_answers_reach_a_client_that_has_shut_its_side(gateway):
    with gateway.client() as client:
        client.send(PAGE + PAGE)
        client.socket.shutdown(socket.SHUT_WR)
        assert [client.read().status, client.read().status] == [200, 200]
        assert client.at_end()


def test_late_answers_to_vanished_clients_do_no_harm(gateway, broker):
    client = gateway.client()
    client.send(FIXED)
    request = broker.take()
    client.close()
    broker.cancels.get(timeout=5)
    broker.answer(request, rep({"items": []}))
    broker.answers["fixed"] = rep({"items": []})
    assert gateway.get("/v1/diag/fixed").status == 200


def test_nobody_answers_in_time(gateway, broker):
    answer = gateway.get("/v1/diag/fixed")  # its time-out is two seconds
    assert (answer.status, answer.problem()["code"]) == (504, "timeout")
    assert broker.take().method == "fixed"


def test_broker_away_and_back(start, broker):
    broker.answers["fixed"] = rep({"items": []})
    broker.stop()
    gateway = start(connected=False)
    with gateway.client() as client:
        answer = client.get("/v1/diag/fixed")
        assert (answer.status, answer.problem()["code"], answer.headers["retry-after"]) == (
            503,
            "no_broker",
            "1",
        )
        assert client.get("/readyz").status == 503
        assert client.get("/healthz").status == 200
        broker.start()
        gateway.wait_event("GW-BROKER-CONNECTED", timeout=20)
        assert client.get("/v1/diag/fixed").status == 200
        assert client.get("/readyz").status == 200


def test_a_broker_that_restarts_is_found_again(gateway, broker):
    with gateway.client() as client:
        client.send(FIXED)
        broker.take()
        broker.stop()
        broker.answers["fixed"] = rep({"items": []})
        broker.start()
        assert client.read().status == 200, "a read is resent under the new session"
        assert broker.take().flags == 1
        assert client.get("/v1/diag/fixed").status == 200


def test_too_many_calls_are_refused_at_once(start, broker):
    gateway = start(outstanding_max=2)
    with gateway.client() as client:
        client.send(FIXED * 3)
        requests = [broker.take(), broker.take()]
        for request in requests:
            broker.answer(request, rep({"items": []}))
        answers = [client.read() for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 503]
        assert answers[2].problem()["code"] == "overloaded"


def test_drain_finishes_what_is_in_progress(start, broker):
    gateway = start(threads=2)
    busy, idle = gateway.client(), gateway.client()
    assert idle.get("/healthz").status == 200
    busy.send(FIXED)
    request = broker.take()
    gateway.process.send_signal(signal.SIGTERM)
    gateway.wait_event("GW-DRAINING")
    assert idle.at_end()
    broker.answer(request, rep({"items": [1]}))
    answer = busy.read()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert busy.at_end()
    busy.close()
    idle.close()
    assert gateway.process.wait(10) == 0
    gateway.wait_event("GW-STOPPED", code=0)
    with pytest.raises(ConnectionRefusedError):
        Client(gateway.port)


def test_drain_is_cut_after_its_time(start, broker):
    gateway = start(drain_ms=100)
    with gateway.client() as client:
        client.send(FIXED)
        request = broker.take()
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(10) == 0
        gateway.wait_event("GW-DRAIN-CUT", connections=1, calls=1)
        assert broker.cancels.get(timeout=5) == request.corr
        assert client.at_end()


def test_a_port_in_use_is_a_clear_message(gateway):
    command = [
        BIN / "souk-gateway",
        f"--port={gateway.port}",
        "--admin-port=0",
        f"--front={gateway.front}",
    ]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=20)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    failed = [event for event in events if event["event"] == "GW-START-FAILED"]
    assert done.returncode == 1
    assert failed[0]["what"] == f"listening on 127.0.0.1:{gateway.port}"
    assert failed[0]["cause"] == "Address already in use"


def test_bad_configuration_is_told(gateway):
    for flag in ("--cors-origins=shop", "--address=localhost"):
        done = subprocess.run(
            [BIN / "souk-gateway", "--port=0", "--admin-port=0", flag],
            stderr=subprocess.PIPE,
            timeout=20,
        )
        assert done.returncode == 1
        assert b"GW-START-FAILED" in done.stderr
    done = subprocess.run([BIN / "souk-gateway", "--threads=0"], stderr=subprocess.PIPE, timeout=20)
    assert done.returncode == 2
    assert b"SOUK_GATEWAY_THREADS" in done.stderr or b"threads" in done.stderr


def test_access_log_can_be_sampled(start, broker):
    gateway = start(access_log_sample=10)
    broker.answers["fixed"] = err("internal")
    with gateway.client() as client:
        for _ in range(25):
            assert client.get("/healthz").status == 200
        assert client.get("/v1/diag/fixed").status == 500
    gateway.wait_event("GW-ACCESS", status=500)
    assert len([event for event in gateway.events if event["event"] == "GW-ACCESS"]) == 3


def test_open_files_do_not_leak(gateway):
    folder = f"/proc/{gateway.process.pid}/fd"
    gateway.get("/healthz")
    wait_for_metric(gateway, "souk_gateway_connections", 0)
    before = len(os.listdir(folder))
    for _ in range(50):
        gateway.get("/healthz")
    wait_for_metric(gateway, "souk_gateway_connections", 0)
    assert len(os.listdir(folder)) <= before + 1
