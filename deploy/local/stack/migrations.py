"""The services' databases on PostgreSQL: one database, in it a schema and a login role for each service, and the migrations.

A role reaches its own schema and nothing else; what a migration makes belongs to the login that migrates, so that a
service cannot change its tables. deploy/migrations/README.md has the rules for the files.
"""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from . import StackError
from .postgres import require_database, with_database
from .settings import ROOT

FOLDER = ROOT / "deploy" / "migrations"
SERVICES = ("users", "orders")
DATABASE = "souk"
FILE_NAME = re.compile(r"(\d{14})_[a-z0-9_]+\.sql")
# Of a migration: it gives up its place in the queue for a table's lock before the services behind it feel it.
LOCK_TIMEOUT_MS = 5000
# Of a service: a worker that freezes inside a transaction does not hold its row locks for longer.
IDLE_IN_TRANSACTION_MS = 10000
ADVISORY_LOCK = 7_311_001


def role(service):
    """The login of a service."""
    return f"souk_{service}"


def service_url(database_url, service, password):
    """The URL by which a service logs in to the database of database_url."""
    parts = urlsplit(database_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role(service)}:{quote(password, safe='')}@{host}"))


def versions(service, folder=FOLDER):
    """The versions that a service's folder holds."""
    found = [FILE_NAME.fullmatch(path.name) for path in (folder / service).glob("*.sql")]
    return {match[1] for match in found if match}


def prepare(server_url, database, passwords, say=lambda text: None, folder=FOLDER):
    """Make the database, and for each service in passwords its role and schema; run what migrations are missing.

    server_url: a login that may create databases and roles. Quick and without effect when all is there.
    """
    import psycopg

    require_database(server_url, database)
    url = with_database(server_url, database)
    with psycopg.connect(url, connect_timeout=5, autocommit=True) as owner:
        owner.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
        for service, password in passwords.items():
            require_role(owner, service, password)
        require_rights(owner, passwords)
        secure_database(owner, database, passwords)
        for service, password in passwords.items():
            require_password(owner, url, service, password, say)
            missing = versions(service, folder) - applied(owner, service)
            if missing:
                say(f"migrating {service}: {len(missing)} steps")
                run_dbmate(url, service, ["migrate"], owner.pgconn.ssl_in_use, folder)
            protect_history(owner, service)


def set_password(owner, command, service, password):
    """Run a command about the service's login with its password: sent as a verifier, so that it shows in no log."""
    from psycopg import sql

    name = role(service)
    verifier = owner.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
    owner.execute(
        sql.SQL(command + " ROLE {} LOGIN PASSWORD {}").format(
            sql.Identifier(name), sql.Literal(verifier.decode())
        )
    )


def require_role(owner, service, password):
    """Make the service's login when it is not there."""
    query = "SELECT 1 FROM pg_roles WHERE rolname = %s"
    if owner.execute(query, (role(service),)).fetchone() is None:
        set_password(owner, "CREATE", service, password)


def require_password(owner, url, service, password, say=lambda text: None):
    """The login takes this password: another one, of a data folder that is gone, is replaced."""
    import psycopg

    try:
        psycopg.connect(service_url(url, service, password), connect_timeout=5).close()
    except psycopg.OperationalError:
        say(f"the login {role(service)} gets the password of this data folder")
        set_password(owner, "ALTER", service, password)


def secure_database(owner, database, services):
    """Only the services' logins may connect. Rights on a database are not copied from a template: hence by itself."""
    from psycopg import sql

    name = sql.Identifier(database)
    owner.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    for service in services:
        owner.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                name, sql.Identifier(role(service))
            )
        )


RIGHTS = """
CREATE SCHEMA IF NOT EXISTS {schema};
GRANT USAGE ON SCHEMA {schema} TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT USAGE ON SEQUENCES TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT EXECUTE ON FUNCTIONS TO {role};
ALTER ROLE {role} SET search_path = {schema};
ALTER ROLE {role} SET idle_in_transaction_session_timeout = {idle};
"""


def require_rights(owner, services):
    """A schema for each service, and what its role may do with what migrations will make there."""
    from psycopg import sql

    # IF NOT EXISTS says so with a notice each time.
    owner.execute("SET client_min_messages = warning")
    owner.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    owner.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    for service in services:
        owner.execute(
            sql.SQL(RIGHTS).format(
                schema=sql.Identifier(service),
                role=sql.Identifier(role(service)),
                idle=sql.Literal(IDLE_IN_TRANSACTION_MS),
            )
        )


def applied(owner, service):
    """The versions that the database has."""
    from psycopg import sql

    table = f"{service}.schema_migrations"
    if owner.execute("SELECT to_regclass(%s)", (table,)).fetchone()[0] is None:
        return set()
    rows = owner.execute(
        sql.SQL("SELECT version FROM {}").format(sql.Identifier(service, "schema_migrations"))
    )
    return {version for (version,) in rows}


def protect_history(owner, service):
    """A service may read which migrations ran; it does not write that."""
    from psycopg import sql

    if not applied(owner, service):
        return
    owner.execute(
        sql.SQL("REVOKE INSERT, UPDATE, DELETE ON {} FROM {}").format(
            sql.Identifier(service, "schema_migrations"), sql.Identifier(role(service))
        )
    )


def dbmate_url(url, service, encrypted):
    """The owner's URL for dbmate: the service's schema, a bound on waiting for locks, and encryption as libpq found it.

    dbmate's driver insists on TLS where libpq takes what the server has.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if query.get("sslmode", "prefer") in ("prefer", "allow"):
        query["sslmode"] = "require" if encrypted else "disable"
    query.update(search_path=service, lock_timeout=str(LOCK_TIMEOUT_MS))
    return urlunsplit(parts._replace(query=urlencode(query)))


def run_dbmate(url, service, arguments, encrypted=False, folder=FOLDER):
    """Run dbmate on one service's schema. It holds a lock, so that two at once do the work of one."""
    program = Path(sys.executable).parent / "dbmate"
    argv = [
        str(program),
        "--env",
        "SOUK_MIGRATION_URL",
        "--env-file",
        "/dev/null",
        "--migrations-dir",
        str(folder / service),
        "--no-dump-schema",
        "--migration-lock",
        *arguments,
    ]
    try:
        done = subprocess.run(
            argv,
            env={"SOUK_MIGRATION_URL": dbmate_url(url, service, encrypted)},
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except FileNotFoundError as error:
        raise StackError(f"{program} is missing: run deploy/local/install up") from error
    if done.returncode != 0:
        raise StackError(
            f"a migration of {service} failed ({folder / service}):\n{done.stdout.strip()}"
        )
    return done.stdout
