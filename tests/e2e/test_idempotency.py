"""Idempotency-Keys of what PostgreSQL keeps, with workers that die at the worst moment: an effect happens once, and its answer can be had again."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.api import Api
from support.stack import Stack, wait_for

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def stack(servers):
    with Stack(servers, catalog=0, diag=0, orders=2) as started:
        yield started


class Shelf:
    """A SKU whose stock tells how often a delivery was booked."""

    def __init__(self, stack):
        self.stack, self.api = stack, Api(stack)
        self.sku = f"SHELF-{next(_numbers)}"

    def build(self):
        """Before, the SKU is unknown."""
        with self.stack.connect("orders") as db:
            db.execute(
                "INSERT INTO skus (sku, product_id, variant_id, product_slug, name, option_values, price, currency, sellable, revision)"
                " VALUES (%s, 'prod_1', 'one', 'one', 'One', '{}', 100, 'EUR', true, 1)",
                [self.sku],
            )
        return self

    def receive(self, key, quantity=5):
        return self.api.post(
            f"/v1/admin/stock/{self.sku}/receive",
            json={"quantity": quantity},
            headers={"Idempotency-Key": key} if key else {},
        )

    def on_hand(self):
        with self.stack.connect("orders") as db:
            return db.execute("SELECT on_hand FROM skus WHERE sku = %s", [self.sku]).fetchone()[0]


def is_replayed(answer):
    return answer.headers.get("Idempotency-Replayed") == "true"


@pytest.mark.parametrize(
    ("place", "replayed"), [("write.before_commit", False), ("write.after_commit", True)]
)
def test_another_worker_answers_for_one_that_died(make_stack, tmp_path, place, replayed):
    """Before COMMIT the other runs the call; after it, it answers what the first has stored."""
    reached = tmp_path / "reached"
    faults = {"SOUK_FAULT": place, "SOUK_FAULT_FILE": str(reached)}
    stack = make_stack(catalog=0, diag=0, orders=2, env=faults)
    shelf = Shelf(stack).build()
    answer = shelf.receive("delivery-1")
    assert answer.status_code == 200, answer.text
    assert answer.json()["on_hand"] == 5
    assert is_replayed(answer) == replayed
    assert shelf.on_hand() == 5
    assert reached.exists()
    wait_for(
        lambda: [stack[f"orders-{n}"].is_alive() for n in (1, 2)].count(False) == 1,
        what="one worker is dead",
    )
    again = shelf.receive("delivery-1")
    assert again.json() == answer.json()
    assert is_replayed(again)
    assert shelf.on_hand() == 5


def test_twins_have_one_effect_and_one_answer(stack):
    shelf = Shelf(stack).build()
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: shelf.receive("twins"), range(36)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert [is_replayed(answer) for answer in answers].count(False) == 1
    assert shelf.on_hand() == 5


def test_a_key_belongs_to_one_request(stack):
    shelf = Shelf(stack).build()
    assert shelf.receive("one").status_code == 200
    other = shelf.receive("one", quantity=6)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert shelf.receive(None).status_code == 400
    assert shelf.receive("two words").status_code == 400
    assert shelf.receive("k" * 255).status_code == 200
    assert shelf.receive("k" * 256).status_code == 400
    assert shelf.on_hand() == 10


def test_a_refusal_is_not_stored(stack):
    shelf = Shelf(stack)
    assert shelf.receive("refused").status_code == 404
    answer = shelf.build().receive("refused")
    assert (answer.status_code, is_replayed(answer)) == (200, False)
