"""soukctl outbox on a real PostgreSQL."""

import json
import os
import subprocess
from pathlib import Path

import psycopg
import pytest
from stack import postgres
from support.stack import ROOT, Servers

BUILD = Path(os.environ.get("SOUK_BUILD_DIR", ROOT / "build" / "dev"))
INSERT = "INSERT INTO orders.outbox (id, type, aggregate, sequence, payload, created_at) VALUES (%s, %s, %s, %s, %s, %s)"


@pytest.fixture(scope="module")
def databases():
    with Servers(mongo=False) as servers:
        name = servers.migrated_database()
        yield {
            "owner": postgres.with_database(servers.database_url, name),
            "users": servers.service_url("users", name),
            "orders": servers.service_url("orders", name),
        }


@pytest.fixture
def outbox(databases):
    """Rows in the outbox of orders, numbered from 1: the first is an order's placing, all others its changes."""
    with psycopg.connect(databases["owner"], autocommit=True) as owner:
        owner.execute("TRUNCATE orders.outbox")
        for at in range(1, 31):
            kind = "order.placed" if at == 1 else "order.paid"
            at_time = f"2026-11-25T22:00:{at:02}.5+00"
            row = (f"evt_{at:026}", kind, "ord_1", at, json.dumps({"n": at, "é": "ß\n"}), at_time)
            owner.execute(INSERT, row)
        yield owner


def run(databases, *arguments, **settings):
    env = {
        f"SOUK_{service.upper()}_DATABASE_URL": databases[service]
        for service in ("users", "orders")
    }
    return subprocess.run(
        [BUILD / "bin" / "soukctl", "outbox", *arguments],
        env={**os.environ, **env, **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_newest_are_shown_last(databases, outbox):
    done = run(databases, "show", "--service", "orders")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["sequence"] for row in rows] == list(range(11, 31))
    assert rows[-1] == {
        "service": "orders",
        "id": f"evt_{30:026}",
        "type": "order.paid",
        "aggregate": "ord_1",
        "sequence": 30,
        "created_at": "2026-11-25T22:00:30.500000Z",
        "payload": {"n": 30, "é": "ß\n"},
    }


def test_type_and_limit_choose(databases, outbox):
    placed = run(databases, "show", "--service", "orders", "--type", "order.placed")
    assert [json.loads(line)["sequence"] for line in placed.stdout.splitlines()] == [1]
    two = run(databases, "show", "--service", "orders", "--limit", "2")
    assert [json.loads(line)["sequence"] for line in two.stdout.splitlines()] == [29, 30]
    none = run(databases, "show", "--service", "orders", "--type", "order.' OR true --")
    assert (none.returncode, none.stdout) == (0, "")


def test_a_database_that_is_away_does_not_hide_the_other(databases, outbox):
    away = "postgres://souk_users:secret-word@127.0.0.1:1/souk"
    done = run(databases, "show", SOUK_USERS_DATABASE_URL=away)
    assert done.returncode == 3
    assert len(done.stdout.splitlines()) == 20
    assert "soukctl outbox: users: " in done.stderr and "secret-word" not in done.stderr


def test_a_refusal_of_the_database_is_told(databases, outbox):
    outbox.execute("REVOKE SELECT ON orders.outbox FROM souk_orders")
    try:
        done = run(databases, "show", "--service", "orders")
    finally:
        outbox.execute("GRANT SELECT ON orders.outbox TO souk_orders")
    assert done.returncode == 1 and "permission denied" in done.stderr
