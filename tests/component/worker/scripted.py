"""A broker's back, played by a test: one ROUTER, one worker. Written from docs/protocol.md with pyzmq and msgpack."""

import time

import msgpack
import zmq

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
NO_ROOM, DRAINING, DEADLINE = 1, 2, 3
INLINE, SLOT, BATCH = 0, 1, 2
TIMEOUT_S = 10


class Broker:
    """Keeps what it has read until a test asks for it, so that tests do not depend on how envelopes share frames."""

    def __init__(self, endpoint, epoch=1, heartbeat_ms=2000, envelope_bytes_max=1114112):
        self.endpoint = endpoint
        self.epoch = epoch
        self.heartbeat_ms = heartbeat_ms
        self.envelope_bytes_max = envelope_bytes_max
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(endpoint)
        self.peer = None
        self.inbox = []
        self.windows = {}
        self.ready = {}
        self.count = 0

    def close(self):
        self.socket.close()

    # ---- reading ----

    def read(self, timeout_s):
        """Moves one frame into the inbox; False when none came."""
        if not self.socket.poll(max(0, int(timeout_s * 1000))):
            return False
        parts = self.socket.recv_multipart()
        assert len(parts) == 2, "one message is one frame"
        self.peer = parts[0]
        unpacker = msgpack.Unpacker(raw=False, strict_map_key=False)
        unpacker.feed(parts[1])
        for envelope in unpacker:
            assert envelope[0] == 1
            self.note(envelope)
            self.inbox.append(envelope)
        return True

    def note(self, envelope):
        """What a broker remembers of a worker."""
        if envelope[1] == READY:
            self.ready = {service: dict(methods) for service, methods in envelope[2]}
            self.windows = {
                key: value for key, value in self.windows.items() if key[0] in self.ready
            }
        elif envelope[1] == CREDIT:
            self.windows.update({(service, lane): window for service, lane, window in envelope[2]})
        elif envelope[1] == PING:
            self.send([1, PONG, envelope[2]])

    def take(self, kind, match=lambda envelope: True, timeout_s=TIMEOUT_S):
        """The next envelope of this type that matches; others stay in the inbox."""
        deadline = time.monotonic() + timeout_s
        while True:
            for at, envelope in enumerate(self.inbox):
                if envelope[1] == kind and match(envelope):
                    return self.inbox.pop(at)
            left = deadline - time.monotonic()
            assert left > 0 and self.read(left), (
                f"no envelope of type {kind} came; inbox: {self.inbox}"
            )

    def answer(self, corr, timeout_s=TIMEOUT_S):
        """REP, ERR or REFUSED to the request."""
        deadline = time.monotonic() + timeout_s
        while True:
            for at, envelope in enumerate(self.inbox):
                if envelope[1] in (REP, ERR, REFUSED) and envelope[2] == corr:
                    return self.inbox.pop(at)
            left = deadline - time.monotonic()
            assert left > 0 and self.read(left), f"no answer came; inbox: {self.inbox}"

    def wait(self, question, what, timeout_s=TIMEOUT_S):
        """Reads until the question is answered with yes."""
        deadline = time.monotonic() + timeout_s
        while not question():
            left = deadline - time.monotonic()
            assert left > 0, f"not within {timeout_s} s: {what}"
            self.read(min(left, 0.05))

    def settle(self):
        """Everything that was sent has been read by the worker, and its answers so far by us."""
        self.count += 1
        self.send([1, PING, self.count])
        self.take(PONG, lambda envelope: envelope[2] == self.count)

    # ---- writing ----

    def send_raw(self, frame):
        self.socket.send_multipart([self.peer, frame])

    def send(self, *envelopes):
        self.send_raw(b"".join(msgpack.packb(envelope) for envelope in envelopes))

    def welcome(self):
        """Waits for HELLO, answers, and waits until the worker has said what it serves."""
        hello = self.take(HELLO)
        self.send(
            [
                1,
                WELCOME,
                bytes([self.epoch]) * 16,
                self.epoch,
                self.heartbeat_ms,
                self.envelope_bytes_max,
                "test",
            ]
        )
        return hello

    def introduced(self, *pairs):
        """Waits until each of the (service, lane) pairs has credit."""
        self.wait(
            lambda: all(self.windows.get(pair, 0) > 0 for pair in pairs), f"credit for {pairs}"
        )

    def request(self, service, method, body=None, timeout_ms=5000, **more):
        """One REQ as an array."""
        self.count += 1
        corr = more.get("corr", b"corr" + self.count.to_bytes(12, "big"))
        packed = (
            body if isinstance(body, bytes) else msgpack.packb(body if body is not None else {})
        )
        return [
            1,
            REQ,
            corr,
            timeout_ms,
            0,
            0,
            0,
            3,
            service,
            method,
            None,
            None,
            more.get("traceparent"),
            more.get("principal"),
            packed,
            more.get("request_id", "test-request"),
        ]

    def ask(self, service, method, body=None, **more):
        """Sends one request; returns its corr."""
        request = self.request(service, method, body, **more)
        self.send(request)
        return request[2]

    def call(self, service, method, body=None, **more):
        """Sends one request and returns its answer: (type, decoded body or reason)."""
        return decoded(self.answer(self.ask(service, method, body, **more)))


def decoded(answer):
    """(type, body) of REP and ERR, (type, reason) of REFUSED."""
    if answer[1] == REFUSED:
        return REFUSED, answer[3]
    return answer[1], msgpack.unpackb(answer[5], raw=False)
