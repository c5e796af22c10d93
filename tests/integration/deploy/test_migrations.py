"""Databases, logins and migrations, on a real PostgreSQL."""

import psycopg
import pytest
from psycopg import errors
from stack import StackError, migrations

NOTES = "CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text);"
ONE = "CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1';"
FIRST, SECOND = "20260101000000", "20260102000000"


def schema_of(connection):
    """All columns, functions, indexes and rights of the services' schemas."""
    queries = (
        "SELECT table_schema, table_name, column_name, data_type, column_default FROM information_schema.columns "
        "WHERE table_schema IN ('users', 'orders')",
        "SELECT n.nspname, p.proname, p.prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
        "WHERE n.nspname IN ('users', 'orders')",
        "SELECT schemaname, indexdef FROM pg_indexes WHERE schemaname IN ('users', 'orders')",
        "SELECT n.nspname, c.relname, c.relacl::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname IN ('users', 'orders')",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace::regnamespace::text IN ('users', 'orders')",
        "SELECT datacl::text FROM pg_database WHERE datname = current_database()",
    )
    return [sorted(map(str, connection.execute(query).fetchall())) for query in queries]


def test_a_service_works_with_its_tables_and_cannot_change_them(lab):
    lab.write("users", FIRST, NOTES + ONE)
    lab.prepare()
    with lab.login("users") as service:
        service.execute("INSERT INTO notes (body) VALUES ('a')")
        service.execute("UPDATE notes SET body = 'b'")
        assert service.execute("SELECT body, one() FROM notes").fetchall() == [("b", 1)]
        service.execute("DELETE FROM notes")
        for refused in (
            "TRUNCATE notes",
            "DROP TABLE notes",
            "ALTER TABLE notes ADD COLUMN x text",
            "CREATE TABLE more (x text)",
            "CREATE TABLE public.more (x text)",
            "CREATE TEMPORARY TABLE more (x text)",
            "CREATE SCHEMA more",
            "DELETE FROM schema_migrations",
            "SET ROLE souk",
        ):
            with pytest.raises((errors.InsufficientPrivilege, errors.UndefinedObject)):
                service.execute(refused)


@pytest.mark.parametrize(
    ("service", "other"), [("users", "orders"), ("orders", "users")], ids=["users", "orders"]
)
def test_a_service_cannot_reach_another_one(lab, service, other):
    lab.write(other, FIRST, NOTES + ONE)
    lab.prepare()
    with lab.login(service) as login:
        for refused in (f"SELECT * FROM {other}.notes", f"SELECT {other}.one()"):
            with pytest.raises(errors.InsufficientPrivilege):
                login.execute(refused)
        for refused in ("SELECT * FROM notes", f"SELECT '{other}.notes'::regclass"):
            with pytest.raises((errors.UndefinedTable, errors.InsufficientPrivilege)):
                login.execute(refused)


def test_only_services_connect(lab):
    lab.prepare()
    with lab.owner() as owner:
        owner.execute("CREATE ROLE stranger LOGIN PASSWORD 'x'")
        try:
            with pytest.raises(psycopg.OperationalError, match="CONNECT"):
                psycopg.connect(lab.url.replace("souk:", "stranger:", 1), password="x")
        finally:
            owner.execute("DROP ROLE stranger")


def test_twice_changes_nothing(lab):
    lab.write("users", FIRST, NOTES)
    lab.write("orders", FIRST, NOTES + ONE)
    lab.prepare()
    with lab.owner() as owner:
        before = schema_of(owner)
        lab.said.clear()
        lab.prepare()
        assert lab.said == []
        assert schema_of(owner) == before


def test_a_later_step_runs_alone_also_when_it_is_older(lab):
    lab.write("users", SECOND, NOTES)
    lab.prepare()
    with lab.login("users") as service:
        service.execute("INSERT INTO notes (body) VALUES ('stays')")
    lab.write("users", FIRST, ONE)
    lab.prepare()
    with lab.login("users") as service:
        assert service.execute("SELECT body, one() FROM notes").fetchall() == [("stays", 1)]


def test_a_failed_step_is_told_and_leaves_nothing_of_itself(lab):
    lab.write("users", FIRST, NOTES)
    lab.write("users", SECOND, "ALTER TABLE notes ADD COLUMN x text; SELECT 1/0;")
    with pytest.raises(
        StackError, match="(?s)a migration of users failed.*division by zero"
    ) as told:
        lab.prepare()
    assert lab.passwords["users"] not in str(told.value)
    with lab.owner() as owner:
        assert migrations.applied(owner, "users") == {FIRST}
        with pytest.raises(errors.UndefinedColumn):
            owner.execute("SELECT x FROM notes")


def test_a_step_does_not_wait_for_a_lock_for_long(lab, monkeypatch):
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT_MS", 50)
    lab.write("users", FIRST, NOTES)
    lab.prepare()
    lab.write("users", SECOND, "ALTER TABLE notes ADD COLUMN x text;")
    with lab.login("users") as reader, reader.transaction():
        reader.execute("SELECT * FROM notes")
        with pytest.raises(StackError, match="lock timeout"):
            lab.prepare()
    lab.prepare()
    with lab.login("users") as service:
        service.execute("SELECT x FROM notes")


def test_a_frozen_transaction_ends(lab):
    lab.prepare()
    with lab.login("users") as service:
        (bound,) = service.execute("SHOW idle_in_transaction_session_timeout").fetchone()
    assert bound == f"{migrations.IDLE_IN_TRANSACTION_MS // 1000}s"


def test_another_password_replaces_the_one_of_a_lost_folder(lab):
    lab.prepare()
    old, lab.passwords["users"] = lab.passwords["users"], "x/y:z@ä"
    lab.prepare()
    lab.login("users").close()
    with pytest.raises(psycopg.OperationalError):
        lab.login("users", old)
    assert lab.said == ["the login souk_users gets the password of this data folder"]


@pytest.mark.parametrize("service", migrations.SERVICES)
def test_the_services_migrations_go_down_and_up_again(server, service):
    database = server.migrated_database()
    url = migrations.with_database(server.database_url, database)
    versions = migrations.versions(service)
    with psycopg.connect(url, autocommit=True) as owner:
        before = schema_of(owner)
        for _ in versions:
            migrations.run_dbmate(url, service, ["rollback"])
        left = owner.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'v', 'S', 'p') "
            "UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = %s::regnamespace",
            (service, service),
        ).fetchall()
        assert left == [("schema_migrations",)] * bool(versions)
        if versions:
            migrations.run_dbmate(url, service, ["migrate"])
        assert schema_of(owner) == before
    server.drop_database(database)
