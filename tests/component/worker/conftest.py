"""The worker under test, its scripted broker, and the switches of the lab service (lab.h)."""

import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from scripted import BATCH, INLINE, SLOT, Broker

ROOT = Path(__file__).resolve().parent.parent.parent.parent
BUILD = Path(
    os.environ.get("SOUK_BUILD_DIR", ROOT / "build" / os.environ.get("SOUK_TEST_PRESET", "dev"))
)
LAB = BUILD / "tests" / "worker_lab"
WORKER = BUILD / "bin" / "souk-worker"
STOP_TIMEOUT_S = 20


class Worker:
    """One process, its log, its admin endpoint."""

    def __init__(self, folder, *flags, program=LAB):
        self.folder = folder
        self.log_path = folder / "worker.log"
        env = {**os.environ, "LAB_DIR": str(folder)}
        with open(self.log_path, "wb") as log:
            argv = ["setpriv", "--pdeathsig=KILL", "--", str(program), *flags]
            self.process = subprocess.Popen(argv, stderr=log, stdout=log, env=env)

    def events(self, event):
        """The log lines of this event."""
        lines = self.log_path.read_text().splitlines()
        return [
            row
            for row in map(json.loads, filter(lambda line: line.startswith("{"), lines))
            if row["event"] == event
        ]

    def event(self, event, timeout_s=10):
        """Waits for the event; returns its last line."""
        deadline = time.monotonic() + timeout_s
        while not self.events(event):
            assert time.monotonic() < deadline, (
                f"no {event} in the log:\n{self.log_path.read_text()}"
            )
            assert self.process.poll() is None or self.events(event), self.log_path.read_text()
            time.sleep(0.01)
        return self.events(event)[-1]

    def admin(self, path):
        """(status, text) of the admin endpoint."""
        url = f"http://127.0.0.1:{self.event('WK-START')['admin_port']}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name):
        """The value of a series, as printed; 0 when it is not there."""
        for line in self.admin("/metrics")[1].splitlines():
            if line.rsplit(" ", 1)[0] == name:
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def exit_code(self):
        return self.process.wait(STOP_TIMEOUT_S)

    def switch(self, name, on=True):
        """One of the lab's files."""
        if on:
            (self.folder / name).touch()
        else:
            (self.folder / name).unlink(missing_ok=True)

    def wait(self, question, what, timeout_s=10):
        deadline = time.monotonic() + timeout_s
        while not question():
            assert time.monotonic() < deadline, (
                f"not within {timeout_s} s: {what}\n{self.log_path.read_text()}"
            )
            time.sleep(0.01)


@pytest.fixture
def folder():
    """A short path: endpoints of ipc have at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="souk-") as path:
        yield Path(path)


@pytest.fixture
def endpoint(folder):
    return f"ipc://{folder}/back"


@pytest.fixture
def make_broker(endpoint):
    made = []

    def make(**options):
        made.append(Broker(endpoint, **options))
        return made[-1]

    yield make
    for broker in made:
        broker.close()


@pytest.fixture
def broker(make_broker):
    return make_broker()


@pytest.fixture
def make_worker(folder, endpoint):
    made = []

    def make(*flags, services="diag,lab", slots=2, **options):
        common = [
            "--back",
            endpoint,
            "--services",
            services,
            "--name",
            "w-1",
            "--slots",
            str(slots),
            "--admin-port",
            "0",
            "--log-level",
            "debug",
        ]
        made.append(Worker(folder, *common, *flags, **options))
        return made[-1]

    yield make
    for worker in made:
        if worker.process.poll() is None:
            worker.process.kill()
        worker.process.wait()
        log = worker.log_path.read_text()
        for report in ("Sanitizer", "runtime error:", "assertion failed"):
            assert report not in log, log


@pytest.fixture
def worker(make_worker):
    return make_worker()


@pytest.fixture
def serving(broker, worker):
    """(broker, worker) with a session and credit for everything."""
    broker.welcome()
    broker.introduced(
        ("diag", SLOT), ("diag", INLINE), ("lab", SLOT), ("lab", BATCH), ("lab", INLINE)
    )
    return broker, worker
