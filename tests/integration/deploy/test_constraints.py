"""Constraints by which errors are known (`constraints` in schemas/errors.yaml) are those of the services' tables and functions."""

import sys

import psycopg
from stack import postgres
from support.stack import ROOT

sys.path.insert(0, str(ROOT / "schemas"))

from gen import meta

NAMED = {name for error in meta.read(ROOT / "schemas").errors for name in error.constraints}


def test_named_constraints_exist(server):
    """Or a function raises them by that name. A name that nothing has turns a refusal into an internal error."""
    name = server.migrated_database()
    ours = "::regnamespace::text IN ('users', 'orders')"
    with psycopg.connect(postgres.with_database(server.database_url, name)) as connection:
        constraints = connection.execute(
            f"SELECT conname FROM pg_constraint WHERE connamespace{ours}"
        ).fetchall()
        indexes = connection.execute(
            f"SELECT relname FROM pg_class WHERE relkind = 'i' AND relnamespace{ours}"
        ).fetchall()
        sources = connection.execute(
            f"SELECT prosrc FROM pg_proc WHERE pronamespace{ours}"
        ).fetchall()
    server.drop_database(name)
    there = {row[0] for row in constraints + indexes}
    raised = {each for each in NAMED if any(f"'{each}'" in row[0] for row in sources)}
    assert len(NAMED) >= 5 and NAMED - there - raised == set()


def test_the_outbox_guards_its_numbers_alike(server):
    name = server.migrated_database()
    with psycopg.connect(postgres.with_database(server.database_url, name)) as connection:
        found = connection.execute(
            "SELECT conrelid::regclass::text FROM pg_constraint WHERE conname = 'outbox_aggregate_sequence' ORDER BY 1"
        ).fetchall()
    server.drop_database(name)
    assert found == [("orders.outbox",), ("users.outbox",)]
