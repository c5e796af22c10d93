"""Fixtures: a scripted broker, and real gateways started with what a test needs."""

import hashlib
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import zmq
from client import Client
from support.authz import project
from support.ports import Ports

from broker import Broker, rep

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("SOUK_BUILD_DIR", ROOT / "build" / "dev"))
BIN = BUILD / "bin"
PORTS = Ports()
SECRET = "0123456789abcdef0123456789abcdef"
PRODUCT_ID = "prod_01JD3YV4M8Q6T0R7ZK5N2X9W1B"


def plain_environment():
    """Without the settings of whoever runs the tests."""
    return {key: value for key, value in os.environ.items() if not key.startswith("SOUK_")}


def write_keys(folder, scopes):
    """Replace the keys file: every id has SECRET and these scopes. None writes something that is no keys file."""
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    keys = [{"id": name, "sha256": digest, "scopes": some} for name, some in (scopes or {}).items()]
    new = folder / "keys.json.new"
    new.write_text(json.dumps({"keys": keys}) if scopes is not None else "{")
    new.rename(folder / "keys.json")


def wait(question, what, timeout_s=10):
    """Until the answer is true."""
    deadline = time.monotonic() + timeout_s
    while not (answer := question()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return answer


def trust(*issuers, api_keys=(), revision=1):
    """The reply of the schemas' auth_source: whose tokens are good."""
    names = {"issuer": issuers[0].issuer, "audience": issuers[0].audience} if issuers else {}
    return names | {
        "revision": revision,
        "unchanged": False,
        "keys": [each.jwk() for each in issuers],
        "api_keys": [each.row() for each in api_keys],
    }


class Gateway:
    """A running souk-gateway. Its log is read by a thread, so that tests can wait for an event."""

    def __init__(self, flags, secrets=None):
        self.front = flags["front"]
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
        self.process = subprocess.Popen(
            [BIN / "souk-gateway", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env=plain_environment() | (secrets or {}),
        )
        self.events = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()
        started = self.wait_event("GW-STARTED")
        self.port = started["port"]
        self.admin_port = started["admin_port"]

    def read_log(self):
        """The thread."""
        for line in self.process.stderr:
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": "not json", "line": line}
            with self.changed:
                self.events.append(event)
                self.changed.notify_all()
        with self.changed:
            self.events.append({"event": "end of log"})
            self.changed.notify_all()

    def wait_event(self, name, count=1, timeout=10, **fields):
        """The count-th event of that name with these fields."""

        def found():
            same = [
                event
                for event in self.events
                if event["event"] == name
                and all(event.get(key) == value for key, value in fields.items())
            ]
            return same[count - 1] if len(same) >= count else None

        with self.changed:
            ended = self.changed.wait_for(
                lambda: found() or self.events[-1:] == [{"event": "end of log"}], timeout
            )
            assert ended and found(), f"no event {name} {fields} in {self.events}"
            return found()

    def client(self, **more):
        """A new connection."""
        return Client(self.port, **more)

    def get(self, target, **headers):
        """One GET on a connection of its own."""
        with self.client() as client:
            return client.get(target, **headers)

    def metric(self, name):
        """The value of a metric's line on the admin port."""
        with Client(self.admin_port) as client:
            client.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            text = b""
            while data := client.socket.recv(65536):
                text += data
        for line in text.decode().splitlines():
            if line.rpartition(" ")[0] == name:
                return float(line.rpartition(" ")[2])
        return 0.0

    def stop(self, expected=0):
        """SIGTERM, and wait for the end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        self.reader.join(5)
        self.process.stderr.close()
        broken = [event["line"] for event in self.events if event["event"] == "not json"]
        assert not broken, "".join(broken)
        assert code == expected


@pytest.fixture(scope="session")
def context():
    """One ZeroMQ context for all brokers."""
    made = zmq.Context()
    yield made
    made.destroy(linger=0)


@pytest.fixture
def broker(context):
    """A scripted broker that serves."""
    made = Broker(context, PORTS.take()[0])
    source = project().auth_source()
    made.source = (source.service, source.name)
    made.answers[source.name] = rep(trust())
    made.start()
    yield made
    made.stop()


@pytest.fixture
def start(broker, tmp_path):
    """Starts gateways: start(flag=value, ...); waits for the broker's welcome, and for the keys of users, unless connected=False."""
    running = []

    def start_gateway(connected=True, secrets=None, **flags):
        defaults = {
            "port": 0,
            "admin_port": 0,
            "threads": 1,
            "front": broker.endpoint,
            "keys_file": tmp_path / "keys.json",
            "log_level": "info",
        }
        gateway = Gateway({**defaults, **flags}, secrets)
        running.append(gateway)
        if connected:
            gateway.wait_event("GW-BROKER-CONNECTED", count=int(flags.get("threads", 1)))
            if broker.answers.get(broker.source[1]):
                gateway.wait_event("GW-AUTH-KEYS-LOADED")
        return gateway

    yield start_gateway
    for gateway in running:
        gateway.stop()


@pytest.fixture
def gateway(start):
    """A gateway with the default configuration."""
    return start()
