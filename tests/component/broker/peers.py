"""Raw peers that speak docs/protocol.md by hand, and the broker's process."""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import msgpack
import zmq

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("SOUK_BUILD_DIR", ROOT / "build" / "dev"))
(
    HELLO,
    WELCOME,
    READY,
    CREDIT,
    REQ,
    REP,
    ERR,
    REFUSED,
    CANCEL,
    PING,
    PONG,
    DRAIN,
    DRAINED,
    GOAWAY,
) = range(1, 15)
READ, KEYED, UNKEYED, EXTERNAL = range(4)
CHECKOUT, ACCOUNT, BROWSE, BATCH = range(4)
SLOT = 1
WAIT_S = 10  # for what must come; nothing waits for it in vain when all is well


class Broker:
    """One souk-broker; its log is read by a thread, so that tests can wait for events."""

    def __init__(self, *flags, front="tcp://127.0.0.1:*", back="tcp://127.0.0.1:*"):
        argv = [
            BUILD / "bin" / "souk-broker",
            "--front",
            front,
            "--back",
            back,
            "--admin-port=0",
            *flags,
        ]
        self.process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        self.events = []
        self.other_lines = []
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                try:
                    self.events.append(json.loads(line))
                except ValueError:
                    self.other_lines.append(line)
                self.changed.notify_all()
        with self.changed:
            self.events.append({"event": "end"})
            self.changed.notify_all()

    def event(self, name, **fields):
        """Waits for an event with these fields."""

        def found():
            return [
                event
                for event in self.events
                if event["event"] == name
                and all(event.get(key) == value for key, value in fields.items())
            ]

        with self.changed:
            self.changed.wait_for(lambda: found() or self.events[-1:] == [{"event": "end"}], WAIT_S)
            assert found(), f"no {name} {fields} in {self.events} {self.other_lines}"
            return found()[0]

    @property
    def front(self):
        return self.event("BR-BOUND", side="front")["endpoint"]

    @property
    def back(self):
        return self.event("BR-BOUND", side="back")["endpoint"]

    def admin(self, path):
        """(status, text)"""
        url = f"http://127.0.0.1:{self.event('BR-START')['admin_port']}{path}"
        try:
            with urllib.request.urlopen(url, timeout=WAIT_S) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name):
        """The value of a printed series; 0 when it is not there."""
        for line in self.admin("/metrics")[1].splitlines():
            if line.rpartition(" ")[0] == name:
                return float(line.rpartition(" ")[2])
        return 0.0

    def until(self, what, wanted):
        """Polls until what() equals wanted, for numbers that are published a few times a second."""
        end = time.monotonic() + WAIT_S
        while (got := what()) != wanted:
            assert time.monotonic() < end, f"{got} instead of {wanted}"
            time.sleep(0.05)

    def kill(self):
        self.process.kill()
        self.process.wait(WAIT_S)
        self.thread.join(WAIT_S)

    def stop(self, code=0):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == code, self.other_lines
        self.thread.join(WAIT_S)
        assert not self.other_lines, "".join(self.other_lines)


class Peer:
    """A DEALER. Answers PING while it waits, unless mute; a long heartbeat, so that it may wait for something else meanwhile."""

    def __init__(self, context, endpoint, role, name, heartbeat_ms=10000):
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(endpoint)
        self.role, self.name, self.heartbeat_ms = role, name, heartbeat_ms
        self.inbox = []
        self.mute = False

    def send(self, *messages):
        """All in one frame."""
        self.socket.send(b"".join(msgpack.packb(message) for message in messages))

    def raw(self, *parts):
        self.socket.send_multipart(parts)

    def take(self, *types, timeout_s=WAIT_S):
        """The next message, which must be of one of these types; None when nothing comes."""
        end = time.monotonic() + timeout_s
        while True:
            while self.inbox:
                message = self.inbox.pop(0)
                if message[1] == PING and not self.mute:
                    self.send([1, PONG, message[2]])
                elif message[1] != PING:
                    assert not types or message[1] in types, f"{self.name} got {message}"
                    return message
            left_ms = int((end - time.monotonic()) * 1000)
            if left_ms <= 0 or not self.socket.poll(left_ms):
                return None
            unpacker = msgpack.Unpacker(raw=False, max_buffer_size=1 << 24)
            unpacker.feed(self.socket.recv())
            self.inbox += list(unpacker)

    def hello(self):
        self.send([1, HELLO, self.role, self.name, self.heartbeat_ms])
        welcome = self.take(WELCOME)
        assert welcome, f"{self.name}: no WELCOME"
        return welcome

    def barrier(self):
        """Returns when the broker has handled all that was sent before; what else came stays in the inbox."""
        self.send([1, PING, 4711])
        others = []
        while (message := self.take()) != [1, PONG, 4711]:
            assert message, f"{self.name}: no PONG"
            others.append(message)
        self.inbox = others + self.inbox

    def close(self):
        self.socket.close()


class Client(Peer):
    def __init__(self, context, endpoint, name="client"):
        super().__init__(context, endpoint, 1, name)
        self.hello()

    def request(
        self,
        corr,
        method="echo",
        *,
        service="shop",
        body=b"\x80",
        timeout_ms=5000,
        class_=READ,
        priority=BROWSE,
    ):
        key = "key-1" if class_ == KEYED else None
        self.send(
            [
                1,
                REQ,
                corr,
                timeout_ms,
                0,
                0,
                class_,
                priority,
                service,
                method,
                key,
                None,
                None,
                None,
                body,
                "rid-1",
            ]
        )

    def answer(self, timeout_s=WAIT_S):
        """(corr, "ok" or the error's code)"""
        message = self.take(REP, ERR, timeout_s=timeout_s)
        assert message, "no answer"
        if message[1] == REP:
            return message[2], "ok"
        return message[2], msgpack.unpackb(message[5])["code"]


class Worker(Peer):
    def __init__(
        self, context, endpoint, name="worker", window=1, methods=("echo",), service="shop", **more
    ):
        super().__init__(context, endpoint, 2, name, **more)
        self.hello()
        self.send(
            [1, READY, [[service, [[method, SLOT] for method in methods]]]],
            [1, CREDIT, [[service, SLOT, window]]],
        )
        self.barrier()

    def work(self, timeout_s=WAIT_S):
        """The next REQ."""
        message = self.take(REQ, timeout_s=timeout_s)
        assert message, f"{self.name} got no work"
        return message

    def reply(self, request, body=b"\x80"):
        self.send([1, REP, request[2], 0, None, body])
