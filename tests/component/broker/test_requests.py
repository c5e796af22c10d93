"""Requests through the real broker."""

import msgpack
from peers import (
    CANCEL,
    DRAIN,
    DRAINED,
    ERR,
    GOAWAY,
    KEYED,
    REFUSED,
    REP,
    REQ,
    UNKEYED,
    Client,
    Worker,
)


def test_a_request_and_its_answer(client, worker):
    client.request(b"abc", body=b"\x81\xa1a\x01", timeout_ms=3000)
    work = worker.work()
    assert work[:2] == [1, REQ] and len(work[2]) == 16 and 2900 <= work[3] <= 3000
    assert work[4:] == [
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
        b"\x81\xa1a\x01",
        "rid-1",
    ]
    worker.send([1, REP, work[2], 1, {"exec_us": 7}, b"\x81\xa1b\x02"])
    assert client.take() == [1, REP, b"abc", 1, {"exec_us": 7}, b"\x81\xa1b\x02"]


def test_elements_that_a_later_version_adds_go_through(client, worker):
    client.send(
        [
            1,
            REQ,
            b"a",
            1000,
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
            "new",
            [1, 2],
        ]
    )
    work = worker.work()
    assert work[16:] == ["new", [1, 2]]
    worker.send([1, REP, work[2], 0, None, b"\x80", "more"])
    assert client.take() == [1, REP, b"a", 0, None, b"\x80", "more"]


def test_many_envelopes_in_one_frame(context, broker, client):
    worker = Worker(context, broker.back, window=100)
    client.send(
        *(
            [
                1,
                REQ,
                bytes([i]),
                5000,
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
            for i in range(100)
        )
    )
    works = [worker.work() for _ in range(100)]
    worker.send(*([1, REP, work[2], 0, None, b"\x80"] for work in reversed(works)))
    assert [client.answer()[0][0] for _ in range(100)] == list(range(99, -1, -1))


def test_a_body_of_a_megabyte(client, worker):
    body = msgpack.packb({"blob": b"x" * 1_048_000})
    client.request(b"big", body=body)
    work = worker.work()
    assert work[14] == body
    worker.reply(work, body)
    assert client.take(REP)[5] == body


def test_one_idle_worker_serves_all_that_queues(client, worker):
    """zeromq/majordomo served 1 of 3."""
    for corr in (b"1", b"2", b"3"):
        client.request(corr)
    for _ in range(3):
        worker.reply(worker.work())
    assert sorted(client.answer()[0] for _ in range(3)) == [b"1", b"2", b"3"]


def test_a_dead_worker_swallows_nothing(context, broker, client):
    """zeromq/majordomo lost what it gave to a worker that was dead while a live one sat idle."""
    worker = Worker(context, broker.back, heartbeat_ms=100)
    client.request(b"a")
    worker.work()
    worker.mute = True  # it neither answers nor pings any more
    live = Worker(context, broker.back, "live")
    work = live.work()
    assert work[4] == 1  # attempt
    live.reply(work)
    assert client.answer() == (b"a", "ok")
    broker.event("BR-WORKER-DIED", peer="worker", inflight=1)
    broker.event("BR-PEER-LOST", peer="worker")


def test_a_closed_connection_is_noticed(context, broker, client):
    worker = Worker(context, broker.back, heartbeat_ms=100)
    client.request(b"a")
    worker.work()
    worker.close()
    live = Worker(context, broker.back, "live")
    live.reply(live.work())
    assert client.answer() == (b"a", "ok")


def test_unkeyed_work_in_dead_hands_has_an_unknown_outcome(context, broker, client):
    worker = Worker(context, broker.back, heartbeat_ms=100)
    client.request(b"u", class_=UNKEYED)
    worker.work()
    worker.close()
    assert client.answer() == (b"u", "unknown_outcome")


def test_a_request_that_kills_is_given_up_and_logged(context, broker, client):
    worker = Worker(context, broker.back, heartbeat_ms=100)
    client.request(b"p", class_=KEYED, timeout_ms=20000)
    worker.work()
    worker.close()
    second = Worker(context, broker.back, "second", heartbeat_ms=100)
    assert second.work()[4] == 1
    second.close()
    assert client.answer() == (b"p", "worker_lost")
    poison = broker.event("BR-POISON", service="shop", method="echo")
    assert poison["request_id"] == "rid-1" and poison["deaths"] == 2
    assert broker.metric('souk_broker_poison_total{service="shop"}') == 1


def test_refused_work_goes_to_another_worker(context, broker, client, worker):
    client.request(b"a", class_=UNKEYED)
    work = worker.work()
    other = Worker(context, broker.back, "other")
    worker.send([1, REFUSED, work[2], 1])
    other.reply(other.work())
    assert client.answer() == (b"a", "ok")


def test_expiry_in_a_worker(client, worker):
    client.request(b"a", timeout_ms=200)
    work = worker.work()
    assert client.answer() == (b"a", "timeout")
    assert worker.take(CANCEL) == [1, CANCEL, work[2]]
    worker.reply(work)  # too late: dropped
    client.request(b"b")
    worker.reply(worker.work())
    assert client.answer() == (b"b", "ok")


def test_expiry_in_the_queue(context, broker, client):
    Worker(context, broker.back, window=0)
    client.request(b"a", timeout_ms=100)
    assert client.answer() == (b"a", "deadline_exceeded")


def test_nobody_there_and_nobody_knows(client, broker, context):
    client.request(b"a")
    assert client.answer() == (b"a", "no_worker")
    Worker(context, broker.back)
    client.request(b"b", "fly")
    assert client.answer() == (b"b", "unknown_method")


def test_overload_is_answered_at_once(start, context):
    broker = start("--queue-max=3", "--retry-after-ms=1234")
    Worker(context, broker.back, window=0)
    client = Client(context, broker.front)
    for corr in (b"1", b"2", b"3", b"4"):
        client.request(corr, timeout_ms=600000)
    message = client.take(ERR)
    fault = msgpack.unpackb(message[5])
    assert message[2] == b"4" and fault["code"] == "overloaded" and fault["retry_after_ms"] == 1234
    for corr in (b"1", b"2", b"3"):
        client.send([1, CANCEL, corr])  # else the broker would wait for them when it stops


def test_drain(context, broker, client, worker):
    client.request(b"a")
    client.request(b"b")
    work = worker.work()
    worker.send([1, DRAIN])
    worker.reply(work)
    assert worker.take() == [1, DRAINED]
    assert client.answer() == (b"a", "ok")
    other = Worker(context, broker.back, "other")
    other.reply(other.work())
    assert client.answer() == (b"b", "ok")
    broker.event("BR-WORKER-DRAINED", peer="worker")


def test_stop_finishes_what_is_in_hand(broker, client, worker):
    client.request(b"a")
    work = worker.work()
    broker.process.terminate()
    assert client.take() == [1, GOAWAY, 2]
    assert worker.take() == [1, GOAWAY, 2]
    client.request(b"b")
    assert client.answer() == (b"b", "draining")
    worker.reply(work)
    assert client.answer() == (b"a", "ok")
    broker.stop()


def test_a_restarted_broker_has_a_new_epoch_and_believes_no_old_answer(start, context):
    first = start()
    front, back = first.front, first.back
    client, worker = Client(context, front), Worker(context, back)
    epoch = client.hello()[3]
    client.request(b"a")
    work = worker.work()
    first.kill()
    second = start(front=front, back=back)
    worker.reply(work)  # the socket reconnects by itself, and the broker knows no such session
    assert worker.take() == [1, GOAWAY, 1]
    worker.hello()
    worker.reply(work)
    worker.barrier()
    second.until(lambda: second.metric('souk_broker_bad_messages_total{reason="forged"}'), 1)
    client.request(b"b")
    assert client.take() == [1, GOAWAY, 1]
    assert client.hello()[3] > epoch


def test_the_largest_request_and_one_beyond(context, broker, client, worker):
    client.request(b"a", body=b"x" * (1_114_112 - 60))
    assert client.answer() == (b"a", "too_large")
    client.request(b"b", body=b"x" * (1_114_112 - 200))
    worker.reply(worker.work(), b"y" * (1_114_112 - 100))
    assert len(client.take(REP)[5]) == 1_114_112 - 100
