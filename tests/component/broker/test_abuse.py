"""What strangers and broken peers can do to the broker: nothing."""

import os
import random

import msgpack
import pytest
import zmq
from peers import (
    BUILD,
    CANCEL,
    ERR,
    GOAWAY,
    HELLO,
    PING,
    PONG,
    REP,
    REQ,
    Broker,
    Client,
    Peer,
    Worker,
)

GARBAGE = [
    b"",
    b"\xc1",
    b"\x90",
    b"\x91\x01",
    b"\x92\x01\xc0",
    b"\xdd\xff\xff\xff\xff\x01\x05",
    b"\x93\x01\x05\xc6\xff\xff\xff\xff",
    b"\x92\x02\x01",
    msgpack.packb([1, 999, "x"]),
    msgpack.packb({"a": 1}),
    msgpack.packb([1, REQ, b"", 1, 0, 0, 0, 2, "shop", "echo", None, None, None, None, b"", None]),
    msgpack.packb(
        [1, REQ, b"x" * 17, 1, 0, 0, 0, 2, "shop", "echo", None, None, None, None, b"", None]
    ),
    msgpack.packb([1, 3, [["shop", [["echo", 9]]]]]),
    msgpack.packb([1, 3, [["shop"] * 3] * 3]),
    msgpack.packb([1, 4, [["shop", 1, -1]]]),
    msgpack.packb([1, 4, [["shop", 1, 65536]]]),
    b"\x91" * 2000,
    b"MDPW02\x01echo",
    os.urandom(3000),
]


def alive(context, broker):
    """A whole request, by new peers, for a service of their own: vandals may serve and call the others."""
    client = Client(context, broker.front, "probe")
    worker = Worker(context, broker.back, "probe", service="probe")
    client.request(b"probe", service="probe")
    worker.reply(worker.work())
    assert client.answer() == (b"probe", "ok")
    client.close()
    worker.close()


@pytest.mark.parametrize("greets", [False, True])
def test_garbage_harms_nobody(context, broker, greets):
    for role, endpoint in ((1, broker.front), (2, broker.back)):
        for garbage in GARBAGE:
            peer = Peer(context, endpoint, role, "vandal")
            if greets:
                peer.hello()
            peer.raw(garbage)
            peer.send([1, PING, 1])
            while (message := peer.take()) and message[1] == ERR:
                pass  # the answer to a REQ with a sound head
            assert message == ([1, PONG, 1] if greets else [1, GOAWAY, message[2]])
            peer.close()
    alive(context, broker)
    broker.until(
        lambda: broker.metric('souk_broker_bad_messages_total{reason="malformed"}') > 20, True
    )


def test_mutated_messages_harm_nobody(context, broker):
    seed = int(os.environ.get("SOUK_SEED", "1"))
    source = random.Random(seed)
    whole = [
        msgpack.packb([1, HELLO, 1, "m", 0]),
        msgpack.packb(
            [
                1,
                REQ,
                b"abc",
                50,
                0,
                0,
                1,
                2,
                "shop",
                "echo",
                "k",
                b"h" * 32,
                None,
                None,
                b"\x80",
                "r",
            ]
        ),
        msgpack.packb([1, 3, [["shop", [["echo", 1], ["get", 0]]], ["diag", [["fixed", 2]]]]]),
        msgpack.packb([1, 4, [["shop", 1, 4], ["diag", 2, 8]]]),
        msgpack.packb([1, REP, b"c" * 16, 0, {"exec_us": 1}, b"\x80"]),
        msgpack.packb([1, 8, b"c" * 16, 1]),
    ]
    for role, endpoint in ((1, broker.front), (2, broker.back)):
        peer = Peer(context, endpoint, role, "mutant")
        for _ in range(3000):
            frame = bytearray(b"".join(source.choices(whole, k=3)))
            for _ in range(source.randrange(4)):
                frame[source.randrange(len(frame))] = source.randrange(256)
            peer.raw(bytes(frame))
        peer.close()
    alive(context, broker)


def test_messages_of_several_parts_are_dropped(context, broker):
    peer = Peer(context, broker.front, 1, "parts")
    peer.raw(msgpack.packb([1, HELLO, 1, "parts", 0]), b"more")
    peer.raw(b"", msgpack.packb([1, HELLO, 1, "parts", 0]))
    peer.hello()
    broker.until(lambda: broker.metric('souk_broker_bad_messages_total{reason="front_framing"}'), 2)


def test_a_final_from_an_unregistered_peer(context, broker):
    """It aborted zeromq/majordomo."""
    peer = Peer(context, broker.back, 2, "stranger")
    peer.send([1, REP, b"c" * 16, 0, None, b"\x80"])
    assert peer.take() == [1, GOAWAY, 1]
    alive(context, broker)


def test_answers_by_somebody_else_are_not_believed(context, broker, client, worker):
    client.request(b"a")
    work = worker.work()
    thief = Worker(context, broker.back, "thief", window=0)
    thief.reply(work, b"\x81\xa1x\x01")
    thief.barrier()
    worker.reply(work)
    assert client.take(REP)[5] == b"\x80"
    broker.until(lambda: broker.metric('souk_broker_bad_messages_total{reason="forged"}'), 1)


def test_a_frame_beyond_the_limit_ends_only_its_senders_connection(context, broker, client, worker):
    vandal = Peer(context, broker.front, 1, "vandal")
    vandal.raw(b"x" * 2_000_000)
    client.request(b"a")
    worker.reply(worker.work())
    assert client.answer() == (b"a", "ok")


def test_a_client_that_never_reads_is_dropped_and_slows_nobody(start, context):
    broker = start(
        "--pending-bytes-max=1048576", "--heartbeat-ms=60000", "--heartbeat-max-ms=60000"
    )
    worker = Worker(context, broker.back, window=1000)
    glutton = context.socket(zmq.DEALER)
    glutton.rcvhwm = 1
    glutton.rcvbuf = 4096
    glutton.linger = 0
    glutton.connect(broker.front)
    glutton.send(msgpack.packb([1, HELLO, 1, "glutton", 0]))
    broker.event("BR-PEER-WELCOME", peer="glutton")
    polite = Client(context, broker.front, "polite")
    for i in range(400):
        corr = i.to_bytes(2, "big")
        glutton.send(
            msgpack.packb(
                [
                    1,
                    REQ,
                    corr,
                    60000,
                    0,
                    0,
                    0,
                    2,
                    "shop",
                    "echo",
                    None,
                    None,
                    None,
                    None,
                    b"\x80",
                    None,
                ]
            )
        )
    quick = Worker(context, broker.back, "quick", methods=("quick",))
    for i in range(400):
        work = worker.take(REQ, CANCEL)
        if work[1] == CANCEL:  # the rest of what the glutton asked for
            break
        worker.reply(work, b"\xc5\xff\xff" + b"z" * 65535)
        if i % 20 == 0:
            polite.request(b"p", "quick")
            quick.reply(quick.work())
            assert polite.answer() == (b"p", "ok")
    assert broker.event("BR-PEER-LOST", peer="glutton")["reason"] == "slow"


def test_a_busy_port_is_a_clear_message(broker):
    second = Broker(front=broker.front)
    second.process.wait(10)
    assert second.process.returncode == 1
    failed = second.event("BR-BIND")
    assert failed["endpoint"] == broker.front and "in use" in failed["reason"]


def test_bad_settings_are_refused(capfd):
    broker = Broker("--queue-max=0", "--what=1")
    assert broker.process.wait(10) == 2
    broker.thread.join(10)
    text = "".join(broker.other_lines)
    assert (
        "SOUK_BROKER_QUEUE_MAX: '0' is not allowed" in text and "--what=1: unknown argument" in text
    )
    assert (BUILD / "bin" / "souk-broker").exists()
