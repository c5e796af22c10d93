"""PostgreSQL goes away under a running stack: calls are refused by name, nothing is lost, and all comes back by itself."""

import os
import signal
import subprocess

import psycopg
import pytest
import requests
from support.stack import Servers, wait_for


@pytest.fixture
def own_servers():
    """A PostgreSQL that this test may harm."""
    with Servers(mongo=False) as started:
        yield started


class Guest:
    """A guest with a cart."""

    def __init__(self, stack):
        self.url = f"{stack.url}/v1/carts"
        made = requests.post(self.url, json={})
        assert made.status_code == 201, made.text
        self.cart = made.json()["id"]
        self.headers = {"Authorization": f"Bearer {made.json()['guest_token']}"}

    def read(self):
        return requests.get(f"{self.url}/{self.cart}", headers=self.headers)

    def write(self):
        return requests.post(self.url, headers=self.headers, json={})


def readyz(stack):
    return requests.get(f"{stack['orders-1'].admin_url}/readyz")


def test_it_goes_away_and_comes_back(make_stack, own_servers):
    stack = make_stack(servers=own_servers, catalog=0, diag=0, orders=1)
    guest = Guest(stack)
    assert guest.read().status_code == 200
    own_servers["postgres"].kill()
    for answer in (ask() for _ in range(10) for ask in (guest.read, guest.write)):
        assert answer.status_code == 503, answer.text
        assert answer.json()["code"] == "unavailable"
        assert int(answer.headers["Retry-After"]) >= 1
    wait_for(lambda: "PostgreSQL is away" in readyz(stack).text, what="the worker says so")
    assert readyz(stack).status_code == 200
    own_servers["postgres"].start().wait_ready()
    wait_for(lambda: guest.read().status_code == 200, what="reads")
    wait_for(lambda: guest.write().status_code == 201, what="writes")
    wait_for(lambda: "away" not in readyz(stack).text, what="the worker is well again")


def signal_all(postmaster, signum):
    """To the server and each of its backends."""
    found = subprocess.run(["pgrep", "-P", str(postmaster)], capture_output=True, check=True)
    for pid in (postmaster, *map(int, found.stdout.split())):
        os.kill(pid, signum)


def test_it_stands_still_and_goes_on(make_stack, own_servers):
    """Nothing says that it is away: the first calls wait out their time, further ones do not."""
    stack = make_stack(servers=own_servers, catalog=0, diag=0, orders=1)
    guest = Guest(stack)
    postmaster = own_servers["postgres"].pid
    signal_all(postmaster, signal.SIGSTOP)
    try:
        codes = []
        wait_for(
            lambda: codes.append(guest.read().json()["code"]) or codes[-3:] == ["unavailable"] * 3
        )
        assert set(codes) <= {"timeout", "unavailable"}
    finally:
        signal_all(postmaster, signal.SIGCONT)
    wait_for(lambda: guest.read().status_code == 200, what="reads")
    wait_for(lambda: guest.write().status_code == 201, what="writes")


def test_a_worker_starts_without_it(make_stack, own_servers):
    stack = make_stack(servers=own_servers, catalog=0, diag=0, orders=1)
    guest = Guest(stack)
    stack["orders-1"].kill()
    own_servers["postgres"].kill()
    stack["orders-1"].start()
    wait_for(lambda: guest.read().json()["code"] == "unavailable", what="the worker answers")
    own_servers["postgres"].start().wait_ready()
    wait_for(lambda: guest.read().status_code == 200, what="reads")


def test_connections_that_it_closes_cost_no_call(make_stack, servers):
    stack = make_stack(catalog=0, diag=0, orders=1)
    guest = Guest(stack)
    ours = "FROM pg_stat_activity WHERE datname = %s AND application_name = 'souk-worker orders'"
    with psycopg.connect(servers.database_url, autocommit=True) as connection:

        def count(what):
            return connection.execute(f"SELECT count({what}) {ours}", [stack.database]).fetchone()[
                0
            ]

        for _ in range(5):
            wait_for(lambda: count("*") > 0, what="connections")
            assert count("pg_terminate_backend(pid, 5000)") > 0
            assert [guest.read().status_code for _ in range(8)] == [200] * 8
