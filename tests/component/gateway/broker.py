"""A broker that does what a test tells it: it speaks docs/protocol.md on its front, and has no workers."""

import queue
import threading
from typing import Any, Callable

import msgpack
import zmq

HELLO, WELCOME, REQ, REP, ERR, CANCEL, PING, PONG, GOAWAY = 1, 2, 5, 6, 7, 9, 10, 11, 14
FIELDS = (
    "corr timeout_ms attempt flags class_ priority service method key key_hash traceparent principal body request_id address"
).split()


class Request:
    """A REQ as received, with its fields as attributes; body and principal decoded."""

    def __init__(self, peer: bytes, envelope: list):
        self.peer = peer
        for name, value in zip(FIELDS, envelope[2:], strict=False):
            setattr(self, name, value)
        self.body = msgpack.unpackb(self.body, timestamp=0)
        self.principal = msgpack.unpackb(self.principal) if self.principal is not None else None


def rep(body: Any, flags: int = 0) -> Callable[[Request], list]:
    """An answer with this body (bytes are taken as they are)."""
    packed = body if isinstance(body, bytes) else msgpack.packb(body, datetime=True)
    return lambda req: [1, REP, req.corr, flags, None, packed]


def err(code: str, **more: Any) -> Callable[[Request], list]:
    """An ERR answer."""
    return lambda req: [1, ERR, req.corr, 0, None, msgpack.packb({"code": code, **more})]


class Broker:
    """Answers each request with what `answers[method]` makes of it; a method without an answer stays open until `answer`."""

    def __init__(self, context: zmq.Context, port: int):
        self.context = context
        self.port = port
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self.answers: dict[str, Callable[[Request], list]] = {}
        self.requests: queue.Queue[Request] = queue.Queue()
        self.otherwise: Callable[[Request], list] | None = None
        self.source: tuple[str, str] | None = None  # service and method; not among the requests
        self.questions: queue.Queue[Request] = queue.Queue()  # to the source
        self.cancels: queue.Queue[bytes] = queue.Queue()
        self.clients: set[bytes] = set()
        self.epoch = 0
        self.thread: threading.Thread | None = None
        self.commands: zmq.Socket | None = None

    def start(self) -> "Broker":
        """Bind and serve; every start is a new session."""
        self.epoch += 1
        name = f"inproc://broker-{self.port}-{self.epoch}"
        self.commands = self.context.socket(zmq.PAIR)
        self.commands.bind(name)
        self.clients.clear()
        started = threading.Event()
        self.thread = threading.Thread(target=self.serve, args=(name, started), daemon=True)
        self.thread.start()
        assert started.wait(5), "the scripted broker did not bind"
        return self

    def stop(self) -> None:
        """Go away without a word."""
        if self.thread is not None:
            self.commands.send(b"")
            self.thread.join(5)
            self.commands.close()
            self.thread = None

    def answer(self, request: Request, make: Callable[[Request], list]) -> None:
        """Answer a request that was left open."""
        self.commands.send_multipart([request.peer, msgpack.packb(make(request))])

    def take(self, timeout: float = 5) -> Request:
        """The next request that came."""
        return self.requests.get(timeout=timeout)

    def serve(self, commands_name: str, started: threading.Event) -> None:
        """The thread."""
        front = self.context.socket(zmq.ROUTER)
        front.setsockopt(zmq.LINGER, 0)
        self.bind(front)
        commands = self.context.socket(zmq.PAIR)
        commands.connect(commands_name)
        poller = zmq.Poller()
        poller.register(front, zmq.POLLIN)
        poller.register(commands, zmq.POLLIN)
        started.set()
        while True:
            ready = dict(poller.poll())
            if commands in ready:
                parts = commands.recv_multipart()
                if parts == [b""]:
                    break
                front.send_multipart(parts)
            if front in ready:
                peer, frame = front.recv_multipart()
                for envelope in self.envelopes(frame):
                    reply = self.on_envelope(peer, envelope)
                    if reply is not None:
                        front.send_multipart([peer, msgpack.packb(reply)])
        front.close()
        commands.close()

    def bind(self, front: zmq.Socket) -> None:
        """Bind as soon as the socket of an earlier start has let go of the port, which ZeroMQ does in its own time."""
        for _ in range(500):
            try:
                front.bind(self.endpoint)
                return
            except zmq.ZMQError as error:
                if error.errno != zmq.EADDRINUSE:
                    raise
                front.poll(10)
        raise RuntimeError(f"{self.endpoint} stays in use")

    @staticmethod
    def envelopes(frame: bytes) -> list:
        """The envelopes of a frame."""
        unpacker = msgpack.Unpacker(max_buffer_size=len(frame) + 1)
        unpacker.feed(frame)
        return list(unpacker)

    def on_envelope(self, peer: bytes, envelope: list) -> list | None:
        """What to answer at once."""
        kind = envelope[1]
        if kind == HELLO:
            self.clients.add(peer)
            return [1, WELCOME, bytes(16), self.epoch, 200, 1114112, "scripted"]
        if peer not in self.clients:
            return [1, GOAWAY, 1]
        if kind == PING:
            return [1, PONG, envelope[2]]
        if kind == CANCEL:
            self.cancels.put(envelope[2])
        if kind == REQ:
            request = Request(peer, envelope)
            asked = (request.service, request.method) == self.source
            (self.questions if asked else self.requests).put(request)
            make = self.answers.get(request.method, self.otherwise)
            return make(request) if make is not None else None
        return None
