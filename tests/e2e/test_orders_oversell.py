"""What many want at once and few can have: exactly as much is sold as there is, whoever is killed meanwhile."""

import threading

import pytest
from support.checker import Checker
from support.journal import Journal
from support.shop import PRICE, Client, Shop
from support.stack import Stack, wait_for

BUYERS, UNITS = 200, 50
SETTINGS = {
    "SOUK_GATEWAY_RATE_PER_ADDRESS": "0",
    "SOUK_ORDERS_UNPAID_MAX": "1000",
    "SOUK_ORDERS_NETWORK_UNPAID_MAX": "0",  # all come from one address
}
STOCK = {"FLASH": UNITS, "WIDE": 100_000, "LAST": 1, "PAIR": 1, "TWICE": 50, "RACE": 1000}
CODE = {"code": "FIRST50", "kind": "percent", "percent_ppm": 100_000, "limit_total": UNITS}


@pytest.fixture(scope="module")
def shop(servers):
    with Stack(servers, catalog=1, diag=0, orders=3, env=SETTINGS) as stack:
        yield Shop(stack, STOCK, CODE)


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "journal.jsonl")
    yield opened
    opened.close()


def at_once(acts, meanwhile=None):
    """Run all in threads that begin together, and meanwhile() again and again until they are done; their results in order."""
    results = [None] * len(acts)
    start = threading.Barrier(len(acts))

    def run(number):
        start.wait(60)
        results[number] = acts[number]()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(acts))]
    for each in threads:
        each.start()
    while meanwhile and any(each.is_alive() for each in threads):
        meanwhile()
    for each in threads:
        each.join(300)
        assert not each.is_alive(), "a buyer waits for ever"
    return results


class Killer:
    """Kills one orders worker after the other, and starts each again."""

    def __init__(self, shop):
        self.shop, self.killed = shop, 0

    def __call__(self):
        victim = self.shop.stack[f"orders-{self.killed % 3 + 1}"]
        victim.kill()
        victim.start().wait_ready()  # in the test's own thread: a process ends with the one that started it
        self.killed += 1


def by_fate(lines):
    """Acknowledged orders, and how often each code refused."""
    codes = {}
    for line in lines:
        if line["fate"] != "acknowledged":
            codes[line["code"]] = codes.get(line["code"], 0) + 1
    return [line["order"] for line in lines if line["fate"] == "acknowledged"], codes


def problems(shop, journal):
    with shop.stack.connect("orders") as connection:
        checker = Checker(connection)
        return [
            *checker.stock(),
            *checker.discounts(),
            *checker.histories(),
            *kept(checker, journal),
        ]


def kept(checker, journal):
    """The journal's orders alone: the shop is shared by the tests of this module."""
    return [text for text in checker.orders(journal) if "no client sent it" not in text]


def test_as_many_are_sold_as_there_are(shop, journal):
    """200 buyers, 50 units, three workers that are killed in turn."""
    clients = [Client(shop, journal) for _ in range(BUYERS)]
    killer = Killer(shop)
    lines = at_once(
        [lambda client=client: client.place({"FLASH": 1}) for client in clients], killer
    )
    sold, codes = by_fate(lines)
    assert killer.killed > 0
    assert (len(sold), codes) == (UNITS, {"insufficient_stock": BUYERS - UNITS})
    assert problems(shop, journal) == []


def test_a_code_is_used_as_often_as_it_may(shop, journal):
    """The same for a discount code."""
    clients = [Client(shop, journal) for _ in range(BUYERS)]
    off = PRICE // 10
    lines = at_once(
        [
            lambda client=client, number=number: client.place(
                {"WIDE": 1}, off=off, discount_code="first50", email=f"buyer{number}@example.com"
            )
            for number, client in enumerate(clients)
        ],
        Killer(shop),
    )
    sold, codes = by_fate(lines)
    assert (len(sold), codes) == (UNITS, {"discount_used_up": BUYERS - UNITS})
    assert problems(shop, journal) == []
    # A use comes back with its order's end, once.
    owner = next(
        each for each, line in zip(clients, lines, strict=True) if line["order"] == sold[0]
    )
    assert owner.cancel(sold[0])["fate"] == "acknowledged"
    again = [
        lambda client=client: client.place({"WIDE": 1}, off=off, discount_code="FIRST50")
        for client in clients[:8]
    ]
    sold, codes = by_fate(at_once(again))
    assert (len(sold), codes) == (1, {"discount_used_up": 7})
    assert problems(shop, journal) == []


def cart_of(client, items):
    """A cart of the client's own."""
    body = {"items": [{"sku": sku, "quantity": quantity} for sku, quantity in items.items()]}
    answer = client.until_final("POST", "/v1/carts", client.headers, body)
    assert answer is not None, client.last
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def checkout(client, cart, items):
    """Check the cart out, under a key of its own."""
    body = client.shop.order(items)
    del body["items"]
    return client.write("place", f"/v1/carts/{cart}/checkout", body)


def test_two_carts_race_for_the_last_unit(shop, journal):
    clients = [Client(shop, journal) for _ in range(2)]
    carts = [cart_of(client, {"LAST": 1}) for client in clients]
    lines = at_once(
        [
            lambda pair=pair: checkout(*pair, {"LAST": 1})
            for pair in zip(clients, carts, strict=True)
        ],
        Killer(shop),
    )
    sold, codes = by_fate(lines)
    assert (len(sold), codes) == (1, {"insufficient_stock": 1})
    assert problems(shop, journal) == []


def test_a_cart_is_checked_out_once(shop, journal):
    """Eight check-outs of one cart with eight keys; when its order was cancelled, once more."""
    client = Client(shop, journal)
    cart = cart_of(client, {"TWICE": 2})
    for _ in range(2):
        buyers = [Client(shop, journal, client.headers) for _ in range(8)]
        acts = [lambda each=each: checkout(each, cart, {"TWICE": 2}) for each in buyers]
        lines = at_once(acts, Killer(shop))
        sold, codes = by_fate(lines)
        assert len(sold) == 1 and set(codes) <= {"cart_taken", "cart_not_open"}, codes
        assert client.cancel(sold[0])["fate"] == "acknowledged"
    assert problems(shop, journal) == []


def test_cancelling_races_expiry(shop, journal):
    """Each order ends once, one way or the other, and gives its stock back once."""
    clients = [Client(shop, journal) for _ in range(30)]
    placed = at_once([lambda client=client: client.place({"RACE": 3}) for client in clients])
    orders = [line["order"] for line in placed]
    with shop.stack.connect("orders") as connection:
        due = (
            "UPDATE orders SET expires_at = now() + interval '200 milliseconds' WHERE id = ANY(%s)"
        )
        connection.execute(due, [orders])
        lines = at_once(
            [
                lambda client=client, order=order: client.cancel(order)
                for client, order in zip(clients, orders, strict=True)
            ],
            Killer(shop),
        )
        states = "SELECT status, count(*) FROM orders WHERE id = ANY(%s) GROUP BY status"
        ended = wait_for(
            lambda: (
                found
                if "placed" not in (found := dict(connection.execute(states, [orders]).fetchall()))
                else None
            ),
            60,
            "every order has ended",
        )
        held = connection.execute("SELECT reserved FROM skus WHERE sku = 'RACE'").fetchone()[0]
    cancelled, codes = by_fate(lines)
    assert ended.get("cancelled", 0) == len(cancelled) and sum(ended.values()) == len(orders)
    assert set(codes) <= {"illegal_transition"}
    assert held == 0
    assert problems(shop, journal) == []
