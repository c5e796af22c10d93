"""Windows, slots, batches, deadlines, cancelling, stalls."""

import msgpack
import pytest
from scripted import (
    BATCH,
    CANCEL,
    DEADLINE,
    ERR,
    INLINE,
    NO_ROOM,
    PING,
    PONG,
    REFUSED,
    REP,
    SLOT,
    decoded,
)


def hold(broker, worker, name, **more):
    """A call that occupies a slot until worker.switch("hold_" + name); returns its corr when it runs."""
    corr = broker.ask("lab", "hold", {"name": name}, **more)
    worker.wait(lambda: (worker.folder / f"hold_{name}.started").exists(), f"{name} has started")
    return corr


@pytest.fixture
def one_slot(broker, make_worker):
    """(broker, worker) with a single slot, and batches of at most four."""
    worker = make_worker("--batch-max", "4", "--stall-grace-ms", "100", slots=1)
    broker.welcome()
    broker.introduced(("diag", SLOT), ("lab", SLOT), ("lab", BATCH), ("lab", INLINE))
    return broker, worker


def test_a_request_near_its_deadline_is_not_started(broker, make_worker):
    make_worker("--deadline-margin-ms", "100")
    broker.welcome()
    broker.introduced(("diag", SLOT), ("diag", INLINE))
    for method in ("echo", "echo_inline"):
        assert broker.call("diag", method, {"text": "x"}, timeout_ms=100) == (REFUSED, DEADLINE)
        assert broker.call("diag", method, {"text": "x"}, timeout_ms=5000)[0] == REP


def test_a_request_that_expires_while_it_waits_is_not_started(one_slot):
    broker, worker = one_slot
    first = hold(broker, worker, "a")
    second = broker.ask("lab", "hold", {"name": "b"}, timeout_ms=150)
    assert decoded(broker.answer(second)) == (REFUSED, DEADLINE)
    worker.switch("hold_a")
    assert broker.answer(first)[1] == REP
    assert not (worker.folder / "hold_b.started").exists()


def test_within_its_windows_a_broker_is_never_refused(broker, make_worker):
    worker = make_worker("--batch-max", "4", "--inline-window", "8", slots=2)
    broker.welcome()
    broker.introduced(("diag", SLOT), ("lab", SLOT), ("lab", BATCH))
    broker.wait(lambda: broker.windows[("lab", BATCH)] == 8, "two slots")
    holds = [hold(broker, worker, name) for name in "ab"]
    gathers = [
        broker.ask("lab", "gather", {"name": "x"}) for _ in range(broker.windows[("lab", BATCH)])
    ]
    echoes = [
        broker.ask("diag", "echo", {"text": "x"}) for _ in range(broker.windows[("diag", SLOT)])
    ]
    broker.settle()
    assert not [envelope for envelope in broker.inbox if envelope[1] == REFUSED]
    worker.switch("hold_a")
    worker.switch("hold_b")
    assert all(broker.answer(corr)[1] == REP for corr in holds + gathers + echoes)


def test_beyond_its_room_the_worker_refuses_at_once(broker, make_worker):
    worker = make_worker(slots=10)  # the room of a lane is at least 8, for brokers to come
    broker.welcome()
    broker.wait(lambda: broker.windows.get(("lab", SLOT)) == 10, "ten slots")
    holds = [hold(broker, worker, f"n{at}") for at in range(10)]
    assert broker.call("lab", "hold", {"name": "beyond"}) == (REFUSED, NO_ROOM)
    assert worker.metric('souk_worker_refused_total{reason="no_room"}') == 1
    for at in range(10):
        worker.switch(f"hold_n{at}")
    assert all(broker.answer(corr)[1] == REP for corr in holds)


def test_a_free_slot_takes_all_that_waits_up_to_the_limit(one_slot):
    broker, worker = one_slot
    first = hold(broker, worker, "a")
    gathers = [broker.ask("lab", "gather", {"name": "x"}) for _ in range(4)]
    broker.settle()
    worker.switch("hold_a")
    assert broker.answer(first)[1] == REP
    assert [decoded(broker.answer(corr)) for corr in gathers] == [(REP, {"number": 4})] * 4
    assert broker.call("lab", "gather", {"name": "x"}) == (REP, {"number": 1}), (
        "nobody waits for a batch to fill"
    )
    assert worker.metric('souk_worker_batches_total{service="lab",method="gather"}') == 2


def test_requests_of_one_frame_share_a_batch(one_slot):
    broker, _ = one_slot
    requests = [broker.request("lab", "gather", {"name": "x"}) for _ in range(4)]
    broker.send(*requests)
    assert [decoded(broker.answer(each[2]))[1]["number"] for each in requests] == [4] * 4


def test_one_bad_member_fails_alone(one_slot):
    broker, _ = one_slot
    bodies = [{"name": "x"}, {"name": "x", "number": 13}, {"name": ""}, {"name": "x"}]
    requests = [broker.request("lab", "gather", body) for body in bodies]
    broker.send(*requests)
    good, conflict, invalid, last = [decoded(broker.answer(each[2])) for each in requests]
    assert good == last == (REP, {"number": 3}), "the invalid one did not reach the handler"
    assert conflict == (ERR, {"code": "conflict"})
    assert invalid[1]["code"] == "validation" and invalid[1]["errors"][0]["pointer"] == "/name"


def test_a_batch_leaves_out_what_expired(one_slot):
    broker, worker = one_slot
    hold(broker, worker, "a")
    late = broker.ask("lab", "gather", {"name": "x"}, timeout_ms=120)
    good = broker.ask("lab", "gather", {"name": "x"})
    assert decoded(broker.answer(late)) == (REFUSED, DEADLINE)
    worker.switch("hold_a")
    assert decoded(broker.answer(good)) == (REP, {"number": 1})


def test_cancel_of_a_waiting_call_is_answered_and_it_never_runs(one_slot):
    broker, worker = one_slot
    first = hold(broker, worker, "a")
    second = broker.ask("lab", "hold", {"name": "b"})
    broker.send([1, CANCEL, second])
    assert broker.answer(second)[1] == REFUSED
    worker.switch("hold_a")
    assert broker.answer(first)[1] == REP
    assert broker.call("diag", "echo", {"text": "x"})[0] == REP
    assert not (worker.folder / "hold_b.started").exists()


def test_cancel_of_a_running_call_is_seen_by_its_handler(one_slot):
    broker, worker = one_slot
    corr = hold(broker, worker, "a")
    broker.send([1, CANCEL, corr])
    assert broker.answer(corr)[1] == ERR
    assert worker.metric("souk_worker_cancelled_total") == 1
    assert broker.call("lab", "gather", {"name": "x"})[0] == REP, (
        "the flag does not stay for the next call"
    )


def test_cancel_of_an_unknown_call_is_ignored(one_slot):
    broker, _ = one_slot
    broker.send([1, CANCEL, b"nobody"])
    assert broker.call("diag", "echo", {"text": "x"})[0] == REP


def test_a_stalled_slot_stops_neither_pongs_nor_inline_calls(one_slot):
    broker, worker = one_slot
    corr = hold(broker, worker, "a", timeout_ms=200)
    worker.event("WK-SLOT-STALLED")
    broker.send([1, PING, 4711])
    assert broker.take(PONG, lambda envelope: envelope[2] == 4711)
    assert broker.call("diag", "echo_inline", {"text": "x"})[0] == REP
    assert worker.metric("souk_worker_stalls_total") == 1
    broker.wait(lambda: broker.windows[("lab", SLOT)] == 0, "no credit while every slot is stalled")
    worker.wait(lambda: "all slots are stalled" in worker.admin("/readyz")[1], "/readyz says so")
    assert worker.admin("/readyz")[0] == 200, "inline calls are still served"
    worker.switch("hold_a")
    assert broker.answer(corr)[1] == REP
    broker.wait(lambda: broker.windows[("lab", SLOT)] == 1, "credit is back")
    worker.wait(lambda: "degraded" not in worker.admin("/readyz")[1], "ready again")


def test_what_a_stalled_slot_has_not_started_is_handed_back(one_slot):
    broker, worker = one_slot
    hold(broker, worker, "a", timeout_ms=200)
    waiting = broker.ask("lab", "gather", {"name": "x"}, timeout_ms=60000)
    assert decoded(broker.answer(waiting)) == (REFUSED, NO_ROOM)
    worker.switch("hold_a")


def test_inline_calls_beyond_the_budget_let_pongs_through(broker, make_worker):
    worker = make_worker("--inline-budget-us", "1000")
    broker.welcome()
    broker.introduced(("lab", INLINE))
    spins = [broker.request("lab", "spin", {"name": "x", "number": 2000}) for _ in range(100)]
    broker.send(*spins)
    broker.send([1, PING, 99])
    broker.wait(
        lambda: (
            sum(e[1] == REP for e in broker.inbox) == 100
            and any(e[1] == PONG for e in broker.inbox)
        ),
        "all",
    )
    kinds = [envelope[1] for envelope in broker.inbox if envelope[1] in (REP, PONG)]
    assert kinds.index(PONG) < 50, "the pong did not wait for all calls"
    order = [envelope[2] for envelope in broker.inbox if envelope[1] == REP]
    assert order == [each[2] for each in spins], "deferred calls keep their order"
    assert worker.metric('souk_worker_inline_overruns_total{service="lab",method="spin"}') == 100


def test_answers_of_a_lost_session_are_dropped(one_slot):
    broker, worker = one_slot
    first = hold(broker, worker, "a")
    waiting = broker.ask("lab", "hold", {"name": "b"})
    broker.settle()
    broker.send([1, 14, 1])
    broker.windows.clear()
    broker.welcome()
    broker.introduced(("diag", SLOT))
    worker.switch("hold_a")
    assert broker.call("diag", "echo", {"text": "x"})[0] == REP, "the slot is free again"
    assert not [e for e in broker.inbox if e[1] in (REP, ERR, REFUSED) and e[2] in (first, waiting)]
    assert not (worker.folder / "hold_b.started").exists()
    assert worker.metric("souk_worker_late_answers_total") == 2


def test_metrics_follow_the_slots(one_slot):
    broker, worker = one_slot
    hold(broker, worker, "a")
    broker.ask("lab", "gather", {"name": "x"})
    worker.wait(lambda: worker.metric("souk_worker_waiting") == 1, "one waits")
    assert worker.metric("souk_worker_slots_busy") == 1
    assert worker.metric("souk_worker_slots") == 1
    assert worker.metric('souk_worker_slots_started{service="lab"}') == 1
    assert worker.metric("souk_worker_sessions") == 1
    worker.switch("hold_a")
    worker.wait(lambda: worker.metric("souk_worker_waiting") == 0, "none waits")


def test_packed_requests_survive_their_frame(one_slot):
    """A waiting call keeps its own copy: other traffic comes and goes meanwhile."""
    broker, worker = one_slot
    hold(broker, worker, "a")
    text = "y" * 10000
    corr = broker.ask("diag", "echo", {"text": text})
    for _ in range(50):
        assert broker.call("diag", "echo_inline", {"text": "z" * 10000})[0] == REP
    worker.switch("hold_a")
    answer = broker.answer(corr)
    assert msgpack.unpackb(answer[5])["text"] == text
