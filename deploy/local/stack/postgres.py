"""A private PostgreSQL cluster: made once, run in the foreground by a supervisor, reached over loopback.

PostgreSQL refuses to run as root, so there it runs as the `postgres` user that its Debian package makes. That user
must be able to reach the data folder: a clone below a closed folder such as /root keeps its cluster in
/var/lib/souk/ instead. Logins use a password kept beside the data, because any user of the machine can reach loopback.
"""

import hashlib
import os
import pwd
import secrets
import shutil
import subprocess
from pathlib import Path

from . import StackError

USER = "souk"
FALLBACK = Path("/var/lib/souk")


def bin_dir():
    """The folder of the newest installed server's programs: Debian keeps them off PATH."""
    versions = Path("/usr/lib/postgresql")
    found = [path for path in versions.glob("*/bin/postgres") if path.parent.parent.name.isdigit()]
    if found:
        return max(found, key=lambda path: int(path.parent.parent.name)).parent
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).resolve().parent
    raise StackError("no PostgreSQL server found: run deploy/local/install up")


def as_user():
    """The prefix of commands that must not run as root; empty for an ordinary user."""
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam("postgres")
    except KeyError as error:
        raise StackError(
            "running as root, and there is no user `postgres`: install the package postgresql-15"
        ) from error
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]


def choose_dir(wanted):
    """The cluster's folder: the wanted one, or one below /var/lib/souk when `postgres` cannot reach that."""
    prefix = as_user()
    if not prefix:
        return wanted
    wanted.parent.mkdir(parents=True, exist_ok=True)
    reachable = subprocess.run([*prefix, "test", "-x", str(wanted.parent)], cwd="/", check=False)
    if reachable.returncode == 0:
        return wanted
    return FALLBACK / hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]


def write_private(path, text):
    """Write a new file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def make_cluster(data_dir, password_file, durable=True):
    """Make the cluster when it is not there. A half-made one, from a run that was interrupted, is made again."""
    if not password_file.exists():
        password_file.parent.mkdir(parents=True, exist_ok=True)
        write_private(password_file, secrets.token_hex(24) + "\n")
    if (data_dir / "PG_VERSION").exists():
        return False
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    # The server's user can read neither our password file nor our standard input: it gets a copy for a moment.
    unfinished = data_dir.with_name(data_dir.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    cluster, password = unfinished / "cluster", unfinished / "password"
    unfinished.mkdir(mode=0o700)
    write_private(password, password_file.read_text())
    if as_user():
        shutil.chown(unfinished, "postgres", "postgres")
        shutil.chown(password, "postgres", "postgres")
    initdb = [
        str(bin_dir() / "initdb"),
        "--pgdata",
        str(cluster),
        "--username",
        USER,
        "--auth",
        "scram-sha-256",
        "--pwfile",
        str(password),
        "--encoding",
        "UTF8",
        "--locale",
        "C.UTF-8",
    ]
    if not durable:
        initdb.append("--no-sync")
    done = subprocess.run(
        [*as_user(), *initdb],
        cwd="/",
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        raise StackError(f"initdb failed with status {done.returncode}:\n{done.stdout}")
    cluster.rename(data_dir)
    shutil.rmtree(unfinished)
    return True


def remove_stale_lock(data_dir):
    """Remove the pid file of a postmaster that was killed, when its pid now belongs to some other program.

    PostgreSQL itself clears the file when the pid is free; but a reused pid makes it refuse to start for ever.
    """
    lock = data_dir / "postmaster.pid"
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    try:
        serves_here = os.path.samefile(f"/proc/{pid}/cwd", data_dir)
    except OSError:
        serves_here = False
    if not serves_here:
        lock.unlink(missing_ok=True)


def server_argv(data_dir, port, durable=True):
    """The server's command line: everything is given here, so that the cluster's own file stays as initdb made it."""
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": "128MB",
        "password_encryption": "scram-sha-256",
        "log_destination": "stderr",
        "logging_collector": "off",
        "log_min_messages": "warning",
        # A duplicate key is an everyday answer here (design: the record is insert-only): no statement, no detail.
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    if not durable:
        # What is committed outlives a killed server, not a machine without power.
        settings.update(fsync="off", full_page_writes="off")
    argv = [*as_user(), str(bin_dir() / "postgres"), "-D", str(data_dir)]
    for name, value in settings.items():
        argv += ["-c", f"{name}={value}"]
    return argv


def url(port, password_file, database):
    """Connection URL of a database of the private cluster."""
    password = password_file.read_text().strip()
    return f"postgres://{USER}:{password}@127.0.0.1:{port}/{database}"


def with_database(base_url, database):
    """The same server's URL, with another database."""
    base, question, query = base_url.partition("?")
    head, _, _ = base.rpartition("/") if base.count("/") > 2 else (base, "", "")
    return f"{head}/{database}{question}{query}"


def answers(server_url):
    """None when the server takes a login, else the reason why not."""
    import psycopg  # 0.1 s to import, and the launcher of every process imports this module

    try:
        psycopg.connect(server_url, connect_timeout=2).close()
    except psycopg.OperationalError as error:
        return str(error).strip().splitlines()[-1]
    return None


def require_database(server_url, database):
    """Create a database when it is not there."""
    import psycopg
    import psycopg.sql

    with psycopg.connect(server_url, connect_timeout=5, autocommit=True) as connection:
        there = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", (database,)
        ).fetchone()
        if there is None:
            name = psycopg.sql.Identifier(database)
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(name))


# FerretDB v1 asks for `_jsonb->$1 @> $2`, which none of its own indexes serves: every look-up by number reads the whole
# collection. These do serve it, when the plan sees the parameters. (10,000 documents: a look-up 20 times faster.)
FERRETDB_INDEXES = """
CREATE OR REPLACE FUNCTION public.souk_index_revisions() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
    made record;
    field text;
BEGIN
    FOR made IN SELECT c.objid FROM pg_event_trigger_ddl_commands() c JOIN pg_class t ON t.oid = c.objid
                WHERE c.command_tag = 'CREATE TABLE' AND t.relname ~ '^revisions_' LOOP
        FOREACH field IN ARRAY ARRAY['_id', 'entity_id', 'key'] LOOP
            EXECUTE format('CREATE INDEX ON %s USING gin ((_jsonb->%L) jsonb_path_ops)', made.objid::regclass, field);
        END LOOP;
    END LOOP;
END $$
"""


def require_ferretdb_database(server_url, database):
    """The database that FerretDB works on, with indexes for the catalogue's look-ups where we may make them."""
    import psycopg
    import psycopg.sql

    require_database(server_url, database)
    url = with_database(server_url, database)
    with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
        name = psycopg.sql.Identifier(database)
        connection.execute(
            psycopg.sql.SQL("ALTER DATABASE {} SET plan_cache_mode = force_custom_plan").format(
                name
            )
        )
        connection.execute(psycopg.sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
        there = connection.execute(
            "SELECT 1 FROM pg_event_trigger WHERE evtname = 'souk_index_revisions'"
        ).fetchone()
        may = connection.execute(
            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        ).fetchone()[0]
        if may and there is None:
            connection.execute(FERRETDB_INDEXES)
            connection.execute(
                "CREATE EVENT TRIGGER souk_index_revisions ON ddl_command_end WHEN TAG IN ('CREATE TABLE') "
                "EXECUTE FUNCTION public.souk_index_revisions()"
            )
