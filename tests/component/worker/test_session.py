"""HELLO, READY, CREDIT, heartbeats, and sessions that end."""

import msgpack
import pytest
from conftest import WORKER
from scripted import BATCH, CREDIT, GOAWAY, HELLO, INLINE, PING, PONG, READY, REP, SLOT


def test_hello_comes_first_and_again_until_welcome(broker, worker):
    assert broker.take(HELLO) == [1, HELLO, 2, "w-1", 0]
    assert broker.take(HELLO) == [1, HELLO, 2, "w-1", 0]
    assert broker.inbox == [], "a worker without a session says nothing else"


def test_ready_lists_methods_with_lanes_and_credit_follows_slots(broker, make_worker):
    make_worker("--batch-max", "16", "--inline-window", "32", slots=3)
    broker.welcome()
    broker.introduced(("lab", SLOT), ("lab", BATCH))
    assert broker.ready["diag"] == {
        "echo": SLOT,
        "echo_inline": INLINE,
        "fixed": INLINE,
        "fixed_slot": SLOT,
    }
    assert broker.ready["lab"]["gather"] == BATCH
    broker.wait(lambda: broker.windows[("lab", SLOT)] == 3, "three slots")
    broker.settle()
    assert broker.windows == {
        ("diag", INLINE): 32,
        ("diag", SLOT): 3,
        ("lab", INLINE): 32,
        ("lab", SLOT): 3,
        ("lab", BATCH): 48,
    }


def test_ready_stands_before_credit(broker, worker):
    broker.welcome()
    broker.introduced(("diag", SLOT))
    kinds = [envelope[1] for envelope in broker.inbox if envelope[1] in (READY, CREDIT)]
    assert kinds[0] == READY


def test_the_product_binary_serves_what_it_is_told(broker, make_worker):
    make_worker(services="diag", program=WORKER)
    broker.welcome()
    broker.introduced(("diag", SLOT), ("diag", INLINE))
    assert list(broker.ready) == ["diag"]
    assert broker.call("diag", "echo", {"text": "hello"}) == (
        REP,
        {"text": "hello", "worker": "w-1"},
    )


def test_ping_is_answered_with_its_token(serving):
    broker, _ = serving
    broker.send([1, PING, 123456789])
    assert broker.take(PONG) == [1, PONG, 123456789]


def test_an_idle_worker_pings(make_broker, worker):
    broker = make_broker(heartbeat_ms=100)
    broker.welcome()
    first = broker.take(PING)
    assert broker.take(PING)[2] != first[2]


def test_a_silent_broker_loses_the_session(make_broker, worker):
    broker = make_broker(heartbeat_ms=50)
    broker.welcome()
    broker.introduced(("diag", SLOT))
    broker.note = lambda envelope: None  # no pong any more
    broker.take(HELLO)
    assert worker.event("WK-SESSION-LOST")["why"] == "silence"


def test_unknown_session_makes_a_new_one(serving):
    broker, _ = serving
    broker.send([1, GOAWAY, 1])
    broker.windows.clear()
    broker.welcome()
    broker.introduced(("diag", SLOT), ("lab", BATCH))
    assert broker.call("diag", "echo", {"text": "again"})[0] == REP


def test_a_restarted_broker_is_told_everything_again(make_broker, worker):
    first = make_broker(epoch=1, heartbeat_ms=100)
    first.welcome()
    first.introduced(("diag", SLOT))
    first.close()
    second = make_broker(epoch=2, heartbeat_ms=100)
    # The connection comes back by itself; what the worker then sends is of a session that the new broker does not know.
    second.wait(lambda: second.inbox, "anything from the worker")
    if second.inbox[0][1] != HELLO:
        second.send([1, GOAWAY, 1])
    second.welcome()
    second.introduced(("diag", SLOT), ("lab", BATCH))
    assert second.call("diag", "echo", {"text": "x"})[0] == REP


def test_a_stopping_broker_keeps_the_session_for_answers(serving):
    broker, worker = serving
    corr = broker.ask("lab", "hold", {"name": "a"})
    worker.wait(lambda: (worker.folder / "hold_a.started").exists(), "the call has started")
    broker.send([1, GOAWAY, 2])
    worker.switch("hold_a")
    assert broker.answer(corr)[1] == REP


GARBAGE = [
    b"",
    b"\x00",
    b"\xc1",
    b"\xff" * 100,
    b"\xdd\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xffabc",
    b"\x95\x01\x05\xc4\x10" + b"x" * 16,
    b"\x91" * 3000,
    b"\x80",
    b"\xa3foo",
]


@pytest.mark.parametrize("frame", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_harms_nothing(serving, frame):
    broker, _ = serving
    broker.send_raw(frame)
    assert broker.call("diag", "echo_inline", {"text": "alive"})[0] == REP


def test_envelopes_before_garbage_stand(serving):
    broker, _ = serving
    request = broker.request("diag", "echo_inline", {"text": "before"})
    broker.send_raw(msgpack.packb(request) + b"\xc1\xc1")
    assert broker.answer(request[2])[1] == REP


def test_unknown_types_versions_and_tails_are_ignored(serving):
    broker, worker = serving
    request = broker.request("diag", "echo_inline", {"text": "x"})
    broker.send(
        [1, 99, "what"], [2, PING, 1], [1, PING, 77, "tail", {"more": 1}], request + ["new", 1]
    )
    assert broker.take(PONG, lambda envelope: envelope[2] == 77)
    assert broker.answer(request[2])[1] == REP
    worker.wait(lambda: worker.metric("souk_worker_malformed_total") == 2, "both are counted")


def test_no_ready_while_no_service_is(broker, folder, make_worker):
    (folder / "not_ready").touch()
    worker = make_worker(services="lab")
    broker.welcome()
    broker.settle()
    assert broker.ready == {} and broker.windows == {}
    assert worker.admin("/readyz")[0] == 503
    worker.switch("not_ready", on=False)
    broker.introduced(("lab", SLOT))
    worker.wait(lambda: worker.admin("/readyz")[0] == 200, "ready")


def test_a_service_that_is_not_ready_any_more_is_withdrawn(serving):
    broker, worker = serving
    worker.switch("not_ready")
    broker.wait(lambda: "lab" not in broker.ready, "READY without lab")
    credits = [envelope for envelope in broker.inbox if envelope[1] == CREDIT]
    assert ["lab", SLOT, 0] in credits[-1][2], (
        "credit is taken back before the service is withdrawn"
    )
    assert broker.call("diag", "echo", {"text": "x"})[0] == REP
    worker.switch("not_ready", on=False)
    broker.introduced(("lab", SLOT), ("lab", BATCH))


def test_a_slot_without_its_connection_gives_no_credit(broker, folder, make_worker):
    (folder / "slot_down").touch()
    worker = make_worker(slots=2)
    broker.welcome()
    broker.introduced(("diag", SLOT), ("lab", INLINE))
    broker.settle()
    assert broker.windows.get(("lab", SLOT), 0) == 0
    assert broker.windows.get(("lab", BATCH), 0) == 0
    assert worker.event("WK-SLOT-START-FAILED")["service"] == "lab"
    worker.switch("slot_down", on=False)
    broker.wait(lambda: broker.windows.get(("lab", SLOT)) == 2, "both slots are back")


def test_degraded_is_ready_with_a_reason(serving):
    _, worker = serving
    worker.switch("degraded")
    worker.wait(lambda: "degraded" in worker.admin("/readyz")[1], "degraded")
    status, text = worker.admin("/readyz")
    assert status == 200 and "lab: the test says so" in text


def test_without_a_broker_the_worker_is_up_but_not_ready(worker):
    status, text = worker.admin("/readyz")
    assert status == 503 and worker.admin("/healthz")[0] == 200, text
