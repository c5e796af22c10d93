"""Fixtures: brokers and peers that end with the test."""

import pytest
import zmq
from peers import Broker, Client, Worker


@pytest.fixture
def context():
    made = zmq.Context()
    yield made
    made.destroy(linger=0)


@pytest.fixture
def start():
    """Starts brokers: start("--flag=value", ...). Each must end with 0 and without a stray line on its standard error."""
    running = []

    def run(*flags, **more):
        broker = Broker(*flags, **more)
        running.append(broker)
        broker.event("BR-START")
        return broker

    yield run
    for broker in running:
        if broker.process.returncode is None:
            broker.stop()


@pytest.fixture
def broker(start):
    return start("--heartbeat-ms=200", "--cold-start-ms=300", "--stop-ms=3000")


@pytest.fixture
def client(context, broker):
    return Client(context, broker.front)


@pytest.fixture
def worker(context, broker):
    return Worker(context, broker.back)
