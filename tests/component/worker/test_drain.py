"""Leaving: SIGTERM, limits, a second signal, SIGKILL; and what does not start at all."""

import signal

import pytest
from conftest import LAB, WORKER
from scripted import DRAIN, DRAINED, DRAINING, HELLO, REFUSED, REP, SLOT, decoded


def start_hold(broker, worker, name):
    corr = broker.ask("lab", "hold", {"name": name})
    worker.wait(lambda: (worker.folder / f"hold_{name}.started").exists(), f"{name} has started")
    return corr


def test_an_idle_worker_says_drain_and_leaves_when_told(serving):
    broker, worker = serving
    worker.signal()
    assert broker.take(DRAIN) == [1, DRAIN]
    assert worker.admin("/readyz")[0] == 503
    assert worker.process.poll() is None, "it waits for DRAINED"
    broker.send([1, DRAINED])
    assert worker.exit_code() == 0


def test_what_runs_is_finished_and_what_waits_is_refused(broker, make_worker):
    worker = make_worker(slots=1)
    broker.welcome()
    broker.introduced(("lab", SLOT))
    running = start_hold(broker, worker, "a")
    waiting = broker.ask("lab", "gather", {"name": "x"})
    broker.settle()
    worker.signal()
    broker.take(DRAIN)
    assert decoded(broker.answer(waiting)) == (REFUSED, DRAINING)
    assert broker.call("diag", "echo_inline", {"text": "late"}) == (REFUSED, DRAINING)
    worker.switch("hold_a")
    assert broker.answer(running)[1] == REP
    broker.send([1, DRAINED])
    assert worker.exit_code() == 0


def test_without_a_broker_it_leaves_at_once(worker):
    worker.event("WK-START")
    worker.wait(lambda: worker.admin("/readyz")[0] == 503, "the loop runs")
    worker.signal()
    assert worker.exit_code() == 0


def test_a_broker_that_never_says_drained_is_not_waited_for_beyond_the_limit(broker, make_worker):
    worker = make_worker("--drain-timeout-ms", "200")
    broker.welcome()
    broker.introduced(("diag", SLOT))
    worker.signal()
    broker.take(DRAIN)
    assert worker.exit_code() == 0, "nothing ran any more"
    assert worker.event("WK-DRAINED")["late"] is True


def test_a_call_that_does_not_end_is_left_behind_at_the_limit(broker, make_worker):
    worker = make_worker("--drain-timeout-ms", "200", slots=1)
    broker.welcome()
    broker.introduced(("lab", SLOT))
    start_hold(broker, worker, "a")
    worker.signal()
    assert worker.exit_code() == 3


def test_a_second_signal_ends_it_at_once(broker, make_worker):
    worker = make_worker(slots=1)
    broker.welcome()
    broker.introduced(("lab", SLOT))
    start_hold(broker, worker, "a")
    worker.signal()
    broker.take(DRAIN)
    worker.signal(signal.SIGINT)
    assert worker.exit_code() == 3


def test_a_session_that_begins_during_the_drain_is_not_served(broker, make_worker):
    worker = make_worker(slots=1)
    broker.welcome()
    broker.introduced(("lab", SLOT))
    start_hold(broker, worker, "a")
    worker.signal()
    broker.take(DRAIN)
    broker.send([1, 14, 1])
    broker.ready = {}
    broker.welcome()
    broker.settle()
    assert broker.ready == {}
    worker.switch("hold_a")
    assert worker.exit_code() == 0


def test_sigkill_leaves_nothing(serving):
    broker, worker = serving
    before = sorted(path.name for path in worker.folder.iterdir())
    worker.signal(signal.SIGKILL)
    worker.exit_code()
    assert sorted(path.name for path in worker.folder.iterdir()) == before


def test_a_new_worker_takes_over_after_sigkill(serving, make_worker):
    broker, worker = serving
    worker.signal(signal.SIGKILL)
    worker.exit_code()
    broker.inbox.clear()
    make_worker()
    broker.take(HELLO)
    broker.welcome()
    broker.windows.clear()
    broker.introduced(("diag", SLOT))
    assert broker.call("diag", "echo", {"text": "x"})[0] == REP


@pytest.mark.parametrize(
    "flags, code, said",
    [
        (["--services", "nobody"], 2, "WK-UNKNOWN-SERVICE"),
        (["--services", ","], 2, "WK-NO-SERVICE"),
        (["--back", ","], 2, "WK-NO-BROKER"),
        (["--back", "carrier-pigeon://x"], 2, "WK-BAD-ENDPOINT"),
        (["--slots", "0"], 2, "SOUK_WORKER_SLOTS"),
        (["--help"], 0, "--services"),
        (["--print-config"], 0, '"SOUK_WORKER_BATCH_MAX":256'),
    ],
)
def test_exit_codes_of_a_start(make_worker, flags, code, said):
    worker = make_worker(*flags, program=LAB)
    assert worker.exit_code() == code
    assert said in worker.log_path.read_text()


def test_the_product_does_not_hold_the_lab(make_worker):
    worker = make_worker(services="lab", program=WORKER)
    assert worker.exit_code() == 2
