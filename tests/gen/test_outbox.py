"""The tests' own look at outbox rows sees what is wrong with them."""

import pytest
from gen import meta
from sound import ROOT

GOOD = {"thing_id": "thg_1", "price": {"amount": 1, "currency": "EUR"}, "state": "new"}


@pytest.fixture
def look(monkeypatch, folder):
    monkeypatch.syspath_prepend(str(ROOT / "tests"))
    from support import outbox

    (made, _) = meta.read(folder).events
    return lambda payload: list(outbox.record(made.payload, payload))


def test_what_is_declared_passes(look):
    assert look(GOOD) == []
    assert look({**GOOD, "price": None}) == []
    assert look({"thing_id": "a", "state": "old"}) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"thing_id": None}, "thing_id is null"),
        ({"thing_id": 7}, "thing_id is 7, no str"),
        ({"state": "lost"}, "state is lost, none of new, old"),
        ({"more": 1}, "more is not declared"),
        ({"price": {"amount": True, "currency": "EUR"}}, "price.amount is True, no int"),
        ({"price": {"amount": 1}}, "price.currency is missing"),
    ],
)
def test_what_is_not_declared_is_told(look, change, said):
    assert look({**GOOD, **change}) == [said]


def test_a_missing_field_is_told(look):
    assert look({"thing_id": "a"}) == ["state is missing"]
