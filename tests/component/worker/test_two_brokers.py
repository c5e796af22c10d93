"""One worker, two brokers: each has a session, a share of the windows, and answers of its own."""

import pytest
from scripted import BATCH, DRAIN, DRAINED, INLINE, REP, SLOT, Broker


@pytest.fixture
def pair(folder, make_worker):
    """(first broker, second broker, worker) with both sessions up."""
    first, second = Broker(f"ipc://{folder}/one"), Broker(f"ipc://{folder}/two", epoch=2)
    flags = ["--back", f"{first.endpoint},{second.endpoint}", "--inline-window", "32"]
    worker = make_worker(*flags, "--batch-max", "8", slots=4)
    for broker in (first, second):
        broker.welcome()
        broker.introduced(("diag", SLOT), ("lab", SLOT), ("lab", BATCH))
    yield first, second, worker
    first.close()
    second.close()


def test_windows_are_split(pair):
    first, second, _ = pair
    for broker in (first, second):
        broker.wait(lambda broker=broker: broker.windows[("lab", SLOT)] == 2, "half of four slots")
        assert broker.windows[("lab", BATCH)] == 16
        assert broker.windows[("lab", INLINE)] == 16


def test_answers_go_where_the_request_came_from(pair):
    first, second, _ = pair
    corr = b"the same corr"
    first.ask("diag", "echo", {"text": "first"}, corr=corr)
    second.ask("diag", "echo", {"text": "second"}, corr=corr)
    assert b"second" in second.answer(corr)[5]
    assert b"first" in first.answer(corr)[5]


def test_the_end_of_one_session_does_not_touch_the_other(pair):
    first, second, worker = pair
    held = second.ask("lab", "hold", {"name": "a"})
    worker.wait(lambda: (worker.folder / "hold_a.started").exists(), "the call runs")
    first.send([1, 14, 1])
    first.windows.clear()
    worker.switch("hold_a")
    assert second.answer(held)[1] == REP
    first.welcome()
    first.introduced(("diag", SLOT))
    assert first.call("diag", "echo", {"text": "x"})[0] == REP


def test_a_drain_waits_for_both(pair):
    first, second, worker = pair
    worker.signal()
    first.take(DRAIN)
    second.take(DRAIN)
    first.send([1, DRAINED])
    first.settle()
    assert worker.process.poll() is None
    second.send([1, DRAINED])
    assert worker.exit_code() == 0


def test_ready_with_one_of_two(folder, make_worker):
    broker = Broker(f"ipc://{folder}/one")
    worker = make_worker("--back", f"{broker.endpoint},ipc://{folder}/nobody")
    broker.welcome()
    broker.introduced(("diag", SLOT))
    worker.wait(lambda: worker.admin("/readyz")[0] == 200, "ready")
    assert worker.metric("souk_worker_sessions") == 1
    broker.close()
