"""A worker of another language, written from docs/protocol.md alone, beside the real broker."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.stack import wait_for, with_death_signal

PROGRAM = Path(__file__).with_name("python_worker.py")
STOP_TIMEOUT_S = 20


@pytest.fixture
def start(stack):
    """Starts Python workers on the stack's broker."""
    started = []

    def start_one():
        argv = with_death_signal([sys.executable, str(PROGRAM), stack.back])
        started.append(subprocess.Popen(argv))
        return started[-1]

    yield start_one
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def call(stack, method, body):
    """(exit code, reply or problem)"""
    argv = [
        stack.program("soukctl"),
        "--front",
        stack.front,
        "call",
        "--class",
        "read",
        method,
        json.dumps(body),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    return done.returncode, json.loads(done.stdout or done.stderr)


def serves(stack):
    return lambda: call(stack, "greeter.hello", {"name": "Ada"}) == (0, {"text": "Hello, Ada!"})


def test_it_is_about_sixty_lines_of_code():
    lines = [line for line in PROGRAM.read_text().splitlines() if line.strip()]
    assert len(lines) <= 65


def test_it_serves_answers_and_leaves(stack, start):
    worker = start()
    wait_for(serves(stack), what="the broker has learned of the Python worker")
    code, problem = call(stack, "greeter.hello", {"name": 7})
    assert code == 1
    assert problem["code"] == "validation" and problem["errors"][0]["pointer"] == "/name"
    assert call(stack, "greeter.goodbye", {})[1]["code"] == "unknown_method"
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(STOP_TIMEOUT_S) == 0, "DRAIN was answered by DRAINED"


def test_two_of_them_share_and_one_may_die(stack, start):
    first, _ = start(), start()
    wait_for(serves(stack), what="the broker has learned of the Python workers")
    first.kill()
    first.wait()
    wait_for(serves(stack), what="the other one serves")


def test_it_comes_back_after_the_broker(stack, start):
    start()
    wait_for(serves(stack), what="the broker has learned of the Python worker")
    stack["broker"].kill()
    stack["broker"].start().wait_ready()
    wait_for(serves(stack), what="the Python worker has said HELLO again")
