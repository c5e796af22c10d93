"""The admin endpoint: what operators and autoscalers read."""

import json

from peers import Client, Worker


def queues(broker, path=""):
    status, text = broker.admin(f"/v1/queues{path}")
    return json.loads(text) if status == 200 else status


def shop(broker, field):
    """A field of the service's row; its status when there is none."""
    row = queues(broker, "/shop")
    return row[field] if isinstance(row, dict) else row


def test_a_new_broker_does_not_look_idle(start, context):
    broker = start("--settle-ms=600000")
    assert broker.admin("/readyz")[0] == 200
    assert queues(broker) == queues(broker, "/shop") == 503
    Worker(context, broker.back)
    broker.until(lambda: queues(broker) != 503, True)
    assert shop(broker, "workers") == 1


def test_without_workers_it_settles(start):
    broker = start("--settle-ms=1")
    broker.until(lambda: queues(broker), {"queues": {}})
    assert queues(broker, "/shop") == 404


def test_numbers_of_a_service(start, context):
    broker = start()
    worker = Worker(context, broker.back, window=2)
    client = Client(context, broker.front)
    for i in range(5):
        client.request(bytes([i]), timeout_ms=600000)
    works = [worker.work(), worker.work()]
    broker.until(lambda: shop(broker, "demand"), 5)
    row = queues(broker, "/shop")
    oldest = row.pop("oldest_seconds")
    assert oldest >= 0
    assert row == {"ready": 3, "inflight": 2, "demand": 5, "workers": 1, "slots_free": 0}
    assert set(queues(broker)["queues"]) == {"shop"}
    broker.until(lambda: broker.metric('souk_broker_queued{service="shop",priority="browse"}'), 3)
    broker.until(lambda: shop(broker, "oldest_seconds") > oldest, True)
    for work in works:
        worker.reply(work)
    for _ in range(3):
        worker.reply(worker.work())
    broker.until(lambda: shop(broker, "demand"), 0)
    assert shop(broker, "slots_free") == 2
    replied = 'souk_broker_requests_total{service="shop",priority="browse",event="replied"}'
    broker.until(lambda: broker.metric(replied), 5)


def test_demand_is_seen_while_nobody_serves(start, context):
    broker = start("--settle-ms=1", "--cold-start-ms=60000")
    client = Client(context, broker.front)
    client.request(b"a", timeout_ms=60000)
    broker.until(lambda: shop(broker, "ready"), 1)
    worker = Worker(context, broker.back)
    worker.reply(worker.work())
    assert client.answer() == (b"a", "ok")
