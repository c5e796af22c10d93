"""The states of a machine are the same in the schema's machine, in the fields that show them and in the database that keeps them."""

import re
import sys

import psycopg
import pytest
from stack import postgres
from support.stack import ROOT

sys.path.insert(0, str(ROOT / "schemas"))

from gen import meta

PROJECT = meta.read(ROOT / "schemas")
# machine, the column and the field of the type order that hold its state
KEPT = [("order", "status"), ("payment", "payment_status"), ("fulfilment", "fulfilment_status")]


@pytest.fixture(scope="module")
def checks(server):
    """The values that the CHECK of each column of orders allows."""
    name = server.migrated_database()
    with psycopg.connect(postgres.with_database(server.database_url, name)) as connection:
        rows = connection.execute(
            "SELECT a.attname, pg_get_constraintdef(c.oid) FROM pg_constraint c "
            "JOIN pg_attribute a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum] "
            "WHERE c.conrelid = 'orders.orders'::regclass AND c.contype = 'c'"
        ).fetchall()
    server.drop_database(name)
    return {column: set(re.findall(r"'([a-z_]+)'::text", text)) for column, text in rows}


def test_every_machine_is_looked_at():
    assert [each.name for each in PROJECT.machines()] == [machine for machine, _ in KEPT]


@pytest.mark.parametrize(("machine", "column"), KEPT)
def test_states(checks, machine, column):
    states = next(list(each.states) for each in PROJECT.machines() if each.name == machine)
    (service,) = (each for each in PROJECT.services if each.name == "orders")
    order = next(each for each in service.types if each.name == "order")
    assert next(each.values for each in order.fields if each.name == column) == states
    assert checks[column] == set(states)
