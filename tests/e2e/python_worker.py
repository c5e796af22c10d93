"""A Souk worker in Python, written from docs/protocol.md alone: serves greeter.hello({"name"}) -> {"text"}.

python_worker.py tcp://127.0.0.1:5551
"""

import signal
import sys
import time

import msgpack
import zmq

HELLO, WELCOME, READY, CREDIT, REQ, REP, ERR, REFUSED = range(1, 9)
PING, PONG, DRAIN, DRAINED, GOAWAY = range(10, 15)

socket = zmq.Context().socket(zmq.DEALER)
socket.linger = 1000
socket.connect(sys.argv[1])
session, heartbeat_s, heard_at, sent_at, draining = None, 1.0, 0.0, 0.0, False


def send(*envelopes):
    global sent_at
    socket.send(b"".join(msgpack.packb(envelope) for envelope in envelopes))
    sent_at = time.monotonic()


def answer(corr, body):
    request = msgpack.unpackb(body)
    if not isinstance(request.get("name"), str):
        fault = {
            "code": "validation",
            "errors": [{"pointer": "/name", "reason": "must be text", "in": "body"}],
        }
        return [1, ERR, corr, 0, None, msgpack.packb(fault)]
    return [1, REP, corr, 0, None, msgpack.packb({"text": f"Hello, {request['name']}!"})]


def receive(envelope):
    global session, heartbeat_s
    kind = envelope[1]
    if kind == WELCOME and session is None:
        session, heartbeat_s = envelope[2], envelope[4] / 1000
        send([1, READY, [["greeter", [["hello", 0]]]]], [1, CREDIT, [["greeter", 0, 1]]])
    elif kind == GOAWAY and envelope[2] != 2:
        session = None
    elif kind == REQ and draining:
        send([1, REFUSED, envelope[2], 2])
    elif kind == REQ:
        send(answer(envelope[2], envelope[14]))
    elif kind == PING:
        send([1, PONG, envelope[2]])
    elif kind == DRAINED:
        sys.exit(0)


def drain(*_):
    global draining
    draining = True
    send([1, DRAIN]) if session else sys.exit(0)


signal.signal(signal.SIGTERM, drain)
while True:
    now = time.monotonic()
    if session is not None and now - heard_at > 3 * heartbeat_s:
        session = None
    if session is None and now - sent_at >= 1:
        send([1, HELLO, 2, "greeter-py", 0])
    elif session is not None and now - sent_at >= heartbeat_s:
        send([1, PING, int(now * 1000)])
    if socket.poll(int(min(heartbeat_s, 1) * 250)):
        heard_at = time.monotonic()
        frames = msgpack.Unpacker()
        frames.feed(socket.recv())
        for each in frames:
            receive(each)
