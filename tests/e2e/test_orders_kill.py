"""SIGKILL at every named step of placing, cancelling, expiring, paying and fulfilling, and of every process under load: afterwards the
checker finds each acknowledged order once, none twice, and stock that balances.

`make chaos` runs many rounds (CHAOS_ROUNDS); in every other run there are few.
"""

import os
import random
import uuid
from threading import Thread

import pytest
from support.checker import Checker
from support.journal import Journal
from support.shop import Client, Crowd, Shop
from support.stack import Servers, Stack, wait_for

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))
SEED = os.environ.get("CHAOS_SEED", "1")
STOCK = {"CHAOS-HOT": 200, "CHAOS-A": 5000, "CHAOS-B": 5000, "CHAOS-C": 5000}
SETTINGS = {"SOUK_GATEWAY_RATE_PER_ADDRESS": "0", "SOUK_ORDERS_UNPAID_MAX": "50"}
STEPS = ["place", "cancel", "expire", "pay", "fulfil"]
POINTS = ["before_commit", "after_commit_before_reply"]


@pytest.fixture(scope="module")
def own_servers():
    """Servers that these tests may kill, durable as in production."""
    with Servers(durable=True) as started:
        yield started


@pytest.fixture(scope="module")
def shop(own_servers):
    """One shop for all of these tests: what one of them breaks, the checker of every later one sees."""
    with Stack(own_servers, catalog=1, diag=0, orders=3, env=SETTINGS) as stack:
        yield Shop(stack, STOCK)


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    opened = Journal(tmp_path_factory.mktemp("kill") / "journal.jsonl")
    yield opened
    opened.close()


def verdict(shop, journal):
    """What the checker finds; and that the journal left nothing open."""
    still_open = [
        key for action in ("place", "cancel", "pay") for key in journal.keys(action, "open")
    ]
    with shop.stack.connect("orders") as connection:
        return [*Checker(connection).problems(journal), *(f"key {key}: open" for key in still_open)]


def worker_dies_at(shop, point, passage=1):
    """One orders worker is replaced by one that dies at the point; the others stop, so that it meets it."""
    stack = shop.stack
    for number in (2, 3):
        stack[f"orders-{number}"].stop()
    doomed = stack["orders-1"]
    doomed.stop()
    doomed.env["SOUK_FAULT"] = f"{point}:{passage}"
    doomed.start().wait_ready()
    return doomed


def all_back(shop):
    """Every process runs again, without a fault."""
    for process in shop.stack.processes.values():
        process.env.pop("SOUK_FAULT", None)
        if not process.is_alive():
            process.start()
    for process in shop.stack.processes.values():
        process.wait_ready()


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_dies_at_a_step(shop, journal, step, point):
    """The client repeats with its key and gets one order, moved once; what the dead worker had begun is whole or not at all."""
    client, staff = Client(shop, journal), Client(shop, journal, shop.stack.admin)
    ready = [client.place({"CHAOS-A": 2, "CHAOS-HOT": 1})["order"] for _ in range(3)]
    if step == "fulfil":
        for order in ready:
            staff.write("pay", f"/v1/admin/orders/{order}/pay")
    if step == "expire":
        with shop.stack.connect("orders") as connection:
            connection.execute("UPDATE orders SET expires_at = now() - interval '1 second'")
    doomed = worker_dies_at(shop, f"orders.{step}.{point}")
    crowd = Crowd(shop, journal, buyers=3, each=2, pay=0, cancel=0)
    with crowd:
        if step in ("cancel", "pay", "fulfil"):
            fate = acting(step, client, staff, ready[0], doomed, lambda: all_back(shop))
        else:
            wait_for(lambda: not doomed.is_alive(), 60, f"the worker dies at {step}")
            all_back(shop)
            fate = "acknowledged"
        crowd.join()
    assert fate == "acknowledged"
    if step == "expire":
        with shop.stack.connect("orders") as connection:
            expired = "SELECT count(*) FROM orders WHERE id = ANY(%s) AND status = 'expired'"
            wait_for(lambda: connection.execute(expired, [ready]).fetchone()[0] == 3, 60, "expiry")
    assert verdict(shop, journal) == []


def acting(step, client, staff, order, doomed, heal):
    """Sends the write that meets the fault, from a thread of its own; heals when the worker is dead; its final fate."""
    lines = []
    items = {
        "lines": [{"line": 1, "quantity": 1}],
        "carrier": "Post",
        "tracking": str(uuid.uuid4()),
    }
    act = {
        "cancel": lambda: client.cancel(order),
        "pay": lambda: staff.write("pay", f"/v1/admin/orders/{order}/pay"),
        "fulfil": lambda: staff.write("fulfil", f"/v1/admin/orders/{order}/fulfilments", items),
    }[step]
    thread = Thread(target=lambda: lines.append(act()))
    thread.start()
    wait_for(lambda: not doomed.is_alive(), 60, f"the worker dies at {step}")
    heal()
    thread.join(120)
    return lines[0]["fate"]


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_any_process_is_killed_under_load(shop, journal, own_servers, round_number):
    """Worker, broker, gateway and PostgreSQL die in turn, in seeded order, while a crowd places, pays and cancels."""
    luck = random.Random(f"{SEED}-{round_number}")
    victims = ["orders-1", "orders-2", "orders-3", "broker", "gateway", "postgres"]
    luck.shuffle(victims)
    with Crowd(shop, journal, buyers=8, seed=f"{SEED}-{round_number}") as crowd:
        for name in victims:
            crowd.more(luck.randint(20, 60))
            victim = own_servers[name] if name == "postgres" else shop.stack[name]
            victim.kill()
            victim.start().wait_ready()
        crowd.more(50)
    assert len(journal.keys("place", "acknowledged")) > 50
    assert verdict(shop, journal) == []
