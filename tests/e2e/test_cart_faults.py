"""Carts when workers or PostgreSQL die."""

from concurrent.futures import ThreadPoolExecutor

import requests
from support.api import refused
from support.buyers import Buyer, Shelf
from support.stack import Servers, Stack, wait_for


def test_without_postgresql_nothing_is_lost_and_it_recovers():
    with Servers(mongo=False) as own, Stack(own, catalog=0, diag=0, orders=1) as stack:
        shelf = Shelf(stack)
        sku = shelf.put()
        guest = Buyer.guest(stack)
        guest.open((sku, 1))
        before = guest.look()
        own["postgres"].kill()
        for answer in (
            guest.get(guest.path),
            guest.ask("POST", "/items", key="away", sku=sku, quantity=1),
        ):
            refused(answer, 503, "unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
        assert Buyer.guest(stack).token, "tokens need no database"
        own["postgres"].start().wait_ready()
        wait_for(lambda: guest.get(guest.path).status_code == 200, 30, "carts are read again")
        assert guest.look() == before
        again = guest.ask("POST", "/items", key="away", sku=sku, quantity=1)
        assert guest.take(again)["items_count"] == 2


AGAIN = {
    "unavailable",
    "key_in_progress",
    "overloaded",
    "no_worker",
    "timeout",
    "worker_lost",
    "deadline_exceeded",
}


def until_final(buyer, sku, key):
    """Repeat one addition with its key until the answer says what became of it."""
    answers = []

    def final():
        try:
            answer = buyer.ask("POST", "/items", key=key, sku=sku, quantity=1)
        except requests.ConnectionError:
            return False
        answers.append(answer)
        return answer.ok or answer.json()["code"] not in AGAIN

    wait_for(final, 60, "a final answer")
    return answers[-1]


def test_each_addition_counts_once_whoever_dies(servers):
    with Stack(servers, catalog=0, diag=0, orders=2) as stack:
        sku = Shelf(stack).put(stock=1000)
        buyers = [Buyer.guest(stack) for _ in range(4)]
        for buyer in buyers:
            buyer.open()
        additions = 25

        def shop(buyer):
            for number in range(additions):
                buyer.take(until_final(buyer, sku, f"add-{number}"))
            return buyer.look()

        with ThreadPoolExecutor(len(buyers)) as pool:
            running = [pool.submit(shop, buyer) for buyer in buyers]
            kills = 0
            while not all(each.done() for each in running) and kills < 8:
                goal = sum(buyer.cart["version"] for buyer in buyers) + 8
                wait_for(
                    lambda goal=goal: (
                        sum(buyer.cart["version"] for buyer in buyers) >= goal
                        or all(each.done() for each in running)
                    ),
                    60,
                    "the shopping goes on",
                )
                label = f"orders-{kills % 2 + 1}"
                stack[label].kill()
                stack[label].start()
                kills += 1
            carts = [each.result(120) for each in running]
        assert kills >= 4
        for cart in carts:
            assert (cart["version"], cart["items_count"]) == (additions + 1, additions)
