"""SIGKILL at every named step of placing, cancelling, expiring, paying and fulfilling, and of every process under load: afterwards the
checker finds each acknowledged order once, none twice, and stock that balances.

`make chaos` runs many rounds (CHAOS_ROUNDS); in every other run there are few.
"""

import itertools
import os
import random
import signal
from pathlib import Path
from threading import Thread

import psycopg
import pytest
from support.checker import Checker
from support.journal import Journal
from support.shop import Client, Crowd, Shop
from support.stack import Servers, Stack, wait_for

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))
SEED = os.environ.get("CHAOS_SEED", "1")
STOCK = {"CHAOS-HOT": 200, "CHAOS-A": 5000, "CHAOS-B": 5000, "CHAOS-C": 5000}
SETTINGS = {
    "SOUK_GATEWAY_RATE_PER_ADDRESS": "0",
    "SOUK_ORDERS_UNPAID_MAX": "50",
    "SOUK_ORDERS_NETWORK_UNPAID_MAX": "0",  # all come from one address
}
STEPS = ["place", "cancel", "expire", "pay", "fulfil"]
POINTS = ["before_commit", "after_commit_before_reply"]
VICTIMS = ["broker", "gateway", "postgres"]
# Every step with every victim at every point in a long run; in others each step, victim and point is there.
MEETINGS = (
    list(itertools.product(STEPS, VICTIMS, POINTS))
    if ROUNDS > 1
    else [
        (step, VICTIMS[number % 3], POINTS[(number + 1) % 2]) for number, step in enumerate(STEPS)
    ]
)


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


def faulty_worker(shop, point, **env):
    """One orders worker is replaced by one that meets the fault; the others stop, so that it is the one that does."""
    stack = shop.stack
    for number in (2, 3):
        stack[f"orders-{number}"].stop()
    doomed = stack["orders-1"]
    doomed.stop()
    doomed.env |= {"SOUK_FAULT": point, **env}
    doomed.start().wait_ready()
    return doomed


def all_back(shop):
    """Every process runs again, without a fault."""
    for process in shop.stack.processes.values():
        for name in ("SOUK_FAULT", "SOUK_FAULT_STOP"):
            process.env.pop(name, None)
        if not process.is_alive():
            process.start()
    for process in shop.stack.processes.values():
        process.wait_ready()


class Act:
    """The write that meets the fault, on an order of its own, sent from a thread."""

    def __init__(self, shop, journal, step):
        self.shop, self.step, self.lines = shop, step, []
        self.client, self.staff = (
            Client(shop, journal),
            Client(shop, journal, shop.stack.admin),
        )
        self.order = self.client.place({"CHAOS-A": 2, "CHAOS-HOT": 1})["order"]
        if step == "fulfil":
            assert self.staff.pay(self.order)["fate"] == "acknowledged"
        self.thread = Thread(target=lambda: self.lines.append(self.run()))

    def run(self):
        acts = {
            "place": lambda: self.client.place({"CHAOS-B": 1}),
            "cancel": lambda: self.client.cancel(self.order),
            "pay": lambda: self.staff.pay(self.order),
            "fulfil": lambda: self.staff.fulfil(self.order, line=1, quantity=1),
            "expire": self.expire,
        }
        return acts[self.step]()

    def expire(self):
        """Nobody asks for it: it is due, and happens."""
        due = "UPDATE orders SET expires_at = now() - interval '1 second' WHERE id = %s"
        state = "SELECT status FROM orders WHERE id = %s"
        with self.shop.stack.connect("orders") as connection:
            connection.execute(due, [self.order])

        def expired():
            try:
                with self.shop.stack.connect("orders") as connection:
                    return connection.execute(state, [self.order]).fetchone()[0] == "expired"
            except psycopg.OperationalError:
                return False  # PostgreSQL is killed in these tests

        wait_for(expired, 120, "the order expires")
        return {"fate": "acknowledged"}

    def fate(self):
        self.thread.join(150)
        assert self.lines, "the write has no end"
        return self.lines[0]["fate"]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_dies_at_a_step(shop, journal, step, point):
    """The client repeats with its key and gets one order, moved once; what the dead worker had begun is whole or not at all."""
    act = Act(shop, journal, step)
    doomed = faulty_worker(shop, f"orders.{step}.{point}")
    act.thread.start()
    wait_for(lambda: not doomed.is_alive(), 60, f"the worker dies at {step}")
    all_back(shop)
    assert act.fate() == "acknowledged"
    assert verdict(shop, journal) == []


def stands(process):
    """Whether it was stopped by a signal."""
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


@pytest.mark.parametrize(("step", "victim", "point"), MEETINGS)
def test_another_process_dies_while_a_worker_stands_at_a_step(
    shop, journal, own_servers, step, victim, point
):
    """Before the commit: it fails or happens once. After it: the reply is lost, and the client's repetition is answered by what was done."""
    act = Act(shop, journal, step)
    standing = faulty_worker(shop, f"orders.{step}.{point}", SOUK_FAULT_STOP="1")
    act.thread.start()
    wait_for(lambda: stands(standing), 60, f"the worker stands at {step}")
    dying = own_servers[victim] if victim == "postgres" else shop.stack[victim]
    dying.kill()
    standing.signal(signal.SIGCONT)
    dying.start().wait_ready()
    all_back(shop)
    assert act.fate() == "acknowledged"
    assert verdict(shop, journal) == []


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
