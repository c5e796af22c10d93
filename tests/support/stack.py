"""A private stack for tests: the processes of `make up`, on free ports and a temporary folder, without circus.

    with Servers() as servers, Stack(servers, catalog=2, orders=1) as stack:
        requests.get(stack.url + "/v1/products")
        stack["catalog-1"].kill()
        stack.connect("orders").execute("SELECT count(*) FROM orders")

`Servers` is PostgreSQL and the MongoDB-protocol server; they take a second to start and are shared by a whole pytest
session, where each stack uses a database of its own. Everything ends with the `with` block, and also when the test
process itself is killed: every process carries a parent-death signal.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import psutil
import psycopg

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "deploy" / "local"))

from stack import (  # noqa: E402
    keys,
    migrations,
    mongo,
    plan,
    postgres,
    probe,
    seed,
    settings,
)

from .ports import PORTS  # noqa: E402

READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
POLL_S = 0.02
TEMPLATE = "souk_template"
PRESET = os.environ.get("SOUK_TEST_PRESET", "dev")


class NotReady(AssertionError):
    """A process did not become ready, or ended; the text holds the end of its log."""


def wait_for(question, timeout_s=READY_TIMEOUT_S, what="condition"):
    """Ask until the answer is true, and return it; the bounded wait for everything in these tests."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise NotReady(f"not within {timeout_s} s: {what}")
        time.sleep(POLL_S)


def with_death_signal(argv):
    """The same command, ended by the kernel when this test process dies."""
    signal_option = "--pdeathsig=KILL"
    if argv[0] == "setpriv":
        return [argv[0], signal_option, *argv[1:]]
    return ["setpriv", signal_option, "--", *argv]


class Process:
    """One process of a specification (deploy/local/stack/specs.py), its log, and ways to end and restart it."""

    def __init__(self, spec, instance, log_dir, extra_env):
        self.spec = spec
        self.instance = instance
        self.label = spec.label(instance)
        self.log_path = log_dir / f"{self.label}.log"
        self.env = {**clean_environment(), **spec.environment(instance), **extra_env}
        self.popen = None

    @property
    def pid(self):
        return self.popen.pid

    @property
    def admin_url(self):
        """Base URL of the process's admin endpoint: /healthz, /readyz, /metrics."""
        return self.spec.target(self.instance)[1].removesuffix("/readyz")

    def start(self):
        """Start it; does not wait until it is ready."""
        assert not self.is_alive(), f"{self.label} runs already"
        if self.spec.name == "postgres":
            postgres.remove_stale_lock(Path(self.spec.cwd))
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(
                with_death_signal(self.spec.argv),
                cwd=self.spec.cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def is_alive(self):
        return self.popen is not None and self.popen.poll() is None

    def wait_ready(self, timeout_s=READY_TIMEOUT_S):
        """Poll its health until it is ready."""
        reason = "not asked yet"

        def ready():
            nonlocal reason
            if not self.is_alive():
                raise NotReady(
                    f"{self.label} ended with status {self.popen.returncode}\n{self.log_tail()}"
                )
            reason = probe.ask(*self.spec.target(self.instance))
            return reason is None

        try:
            wait_for(ready, timeout_s)
        except NotReady as error:
            raise NotReady(f"{self.label}: {error}: {reason}\n{self.log_tail()}") from error
        return self

    def signal(self, signum):
        os.kill(self.pid, signum)

    def kill(self):
        """SIGKILL, and wait until it is gone, its children too: PostgreSQL's outlive it by a moment, and hold the memory without which it does not start again."""
        children = []
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.pid).children(recursive=True)
        self.popen.kill()
        self.popen.wait(STOP_TIMEOUT_S)
        _, alive = psutil.wait_procs(children, STOP_TIMEOUT_S)
        assert not alive, f"children of {self.label} outlive it: {alive}"

    def stop(self, timeout_s=STOP_TIMEOUT_S):
        """Ask it to end and return its exit code; an error when it does not within the time."""
        if not self.is_alive():
            return self.popen.returncode if self.popen else None
        self.signal(signal.Signals[f"SIG{self.spec.stop_signal}"])
        try:
            return self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise NotReady(f"{self.label} does not stop\n{self.log_tail()}") from None

    def restart(self):
        """Stop, start, wait until ready."""
        self.stop()
        return self.start().wait_ready()

    def log(self):
        """All that it has logged."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines=25):
        return f"--- end of {self.label}.log\n" + "\n".join(
            line[:500] for line in self.log().splitlines()[-lines:]
        )


def clean_environment():
    """This process's environment without any Souk setting, so that a developer's own do not change a test."""
    known = settings.load(environ={}, env_file=Path("/nonexistent")).values
    return {name: value for name, value in os.environ.items() if name not in known}


class Group:
    """Processes that live and die together, and their temporary folder."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.folder = None
        self.processes = {}

    def __enter__(self):
        # PostgreSQL, which does not run as root, must be able to pass through the folder.
        self.folder = Path(tempfile.mkdtemp(prefix=self.prefix))
        self.folder.chmod(0o711)
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception):
        self.close()

    def __getitem__(self, label):
        return self.processes[label]

    def add(self, spec, extra_env=None):
        """Make the processes of a specification, without starting them."""
        for instance in range(1, spec.instances + 1):
            process = Process(spec, instance, self.folder, extra_env or {})
            self.processes[process.label] = process

    def close(self):
        """End everything, last started first, and remove the folder (SOUK_TEST_KEEP=1 keeps it)."""
        for process in reversed(self.processes.values()):
            if process.is_alive():
                try:
                    process.stop()
                except NotReady:
                    process.kill()
        if self.folder and not os.environ.get("SOUK_TEST_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def logs(self):
        """The end of every log, for a failed test's report."""
        return "\n".join(process.log_tail() for process in self.processes.values())


class Servers(Group):
    """PostgreSQL and, unless mongo is false, the MongoDB-protocol server; MONGODB_URI names a MongoDB to use instead of the latter.

    durable: PostgreSQL waits for the disk, as in production; otherwise it is quicker, and loses nothing when processes die.
    env: more of PostgreSQL's environment."""

    def __init__(self, mongo=True, durable=False, env=None):
        super().__init__("souk-servers-")
        self.with_mongo = mongo
        self.durable = durable
        self.env = env or {}
        self.passwords = {}
        self.external_mongodb = os.environ.get("MONGODB_URI", "")

    def start(self):
        (postgres_port, mongo_port) = PORTS.take(2)
        data_dir, password_file = self.folder / "postgres", self.folder / "password"
        postgres.make_cluster(data_dir, password_file, self.durable)
        spec = plan.postgres_spec(postgres_port, data_dir, password_file, self.durable)
        spec.env.update(self.env)
        self.add(spec)
        self["postgres"].start().wait_ready()
        self.database_url = self["postgres"].spec.health[1]
        self.mongodb_base = self.external_mongodb
        if self.with_mongo and not self.external_mongodb:
            postgres.require_ferretdb_database(self.database_url, "ferretdb")
            binary = mongo.build(ROOT / "build" / "mongo", Path(sys.executable), print)
            url = postgres.with_database(self.database_url, "ferretdb")
            self.add(plan.ferretdb_spec(mongo_port, binary, url, self.folder))
            self["mongo"].start().wait_ready()
            self.mongodb_base = self["mongo"].spec.health[1]

    def migrated_database(self):
        """Make a database with all migrations, by copying one that was migrated before; returns its name."""
        if not self.passwords:
            self.passwords = {name: uuid.uuid4().hex for name in migrations.SERVICES}
            migrations.prepare(self.database_url, TEMPLATE, self.passwords)
        name = f"souk_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
            migrations.secure_database(connection, name, migrations.SERVICES)
            url = postgres.with_database(self.database_url, name)
            for service, password in self.passwords.items():
                # A test's `make up` on this server has logins with passwords of its own.
                migrations.require_password(connection, url, service, password)
        return name

    def drop_database(self, name):
        """Forget a database and whoever is connected to it; a server that is gone has forgotten it already."""
        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(self.database_url, autocommit=True) as connection,
        ):
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def service_url(self, service, database):
        """By which a service logs in to one of these databases."""
        url = postgres.with_database(self.database_url, database)
        return migrations.service_url(url, service, self.passwords[service])

    def mongodb_uri(self, database=None):
        """Connection string with a database name that nobody else has, unless one is given."""
        return postgres.with_database(
            self.mongodb_base, database or f"souk_{uuid.uuid4().hex[:12]}"
        )


class Stack(Group):
    """Broker, gateway and workers on the given servers, with databases of their own. `env` adds settings for all of our programs."""

    def __init__(self, servers, catalog=2, diag=1, orders=0, users=0, env=None):
        super().__init__("souk-stack-")
        self.servers = servers
        self.pools = {"catalog": catalog, "users": users, "orders": orders, "diag": diag}
        self.extra_env = env or {}
        self.mongodb_uri = servers.mongodb_uri()
        self.database = None

    def start(self):
        self.settings = self.make_settings()
        self.api_key = keys.require_admin_key(self.settings)
        self.secrets = {**plan.made_secrets(self.settings), "SOUK_MONGODB_URI": self.mongodb_uri}
        if any(self.pools[service] for service in migrations.SERVICES):
            self.database = self.servers.migrated_database()
            self.secrets |= self.service_urls
        pools = [name for name, count in self.pools.items() if count]
        for spec in plan.programs(self.settings, self.secrets, pools):
            self.add(spec, self.extra_env)
        for process in self.processes.values():
            process.start()
        for process in self.processes.values():
            process.wait_ready()

    def close(self):
        super().close()
        if self.database and not os.environ.get("SOUK_TEST_KEEP"):
            self.servers.drop_database(self.database)

    def make_settings(self):
        front, back, broker_admin, gateway, gateway_admin = PORTS.take(5)
        return settings.load(
            environ={
                "SOUK_VAR": str(self.folder),
                "SOUK_PRESET": PRESET,
                "SOUK_BROKER_FRONT": f"tcp://127.0.0.1:{front}",
                "SOUK_BROKER_BACK": f"tcp://127.0.0.1:{back}",
                "SOUK_BROKER_ADMIN_PORT": str(broker_admin),
                "SOUK_GATEWAY_PORT": str(gateway),
                "SOUK_GATEWAY_ADMIN_PORT": str(gateway_admin),
                **self.pool_settings(),
            },
            env_file=self.folder / "no-env-file",
        )

    def pool_settings(self):
        """The size and the ports of each pool."""
        chosen = {}
        for name, count in self.pools.items():
            chosen[f"SOUK_{name.upper()}_PROCESSES"] = str(count)
            chosen[f"SOUK_{name.upper()}_ADMIN_PORT"] = str(PORTS.take(max(count, 1))[0])
        return chosen

    @property
    def database_url(self):
        """The superuser's URL of this stack's own PostgreSQL database; only with users or orders."""
        return postgres.with_database(self.servers.database_url, self.database)

    def service_url(self, service):
        """The URL that the workers of a service have."""
        return self.servers.service_url(service, self.database)

    @property
    def service_urls(self):
        """The services' URLs by the settings that hold them."""
        return {
            f"SOUK_{service.upper()}_DATABASE_URL": self.service_url(service)
            for service in migrations.SERVICES
        }

    def connect(self, service, **options):
        """A superuser's psycopg connection for checkers, in the schema of a service, with autocommit."""
        options = {"autocommit": True, "connect_timeout": 10, **options}
        return psycopg.connect(self.database_url, options=f"-csearch_path={service}", **options)

    @property
    def url(self):
        """Base URL of the gateway."""
        return self.settings.gateway_url

    @property
    def admin(self):
        """Headers of a request with all rights."""
        return {"Authorization": f"Bearer {self.api_key}"}

    @property
    def front(self):
        """The broker's front endpoint, for clients that speak the bus."""
        return self.settings["SOUK_BROKER_FRONT"]

    @property
    def back(self):
        """The broker's back endpoint, for workers."""
        return self.settings["SOUK_BROKER_BACK"]

    def program(self, name):
        """Path of a built program, for example soukctl."""
        return self.settings.bin / name

    def soukctl(self, *arguments, check=True):
        """Run soukctl against this stack; returns what it said and its exit code."""
        done = seed.run_soukctl(
            self.settings, self.api_key, *arguments, capture_output=True, text=True, timeout=300
        )
        assert not check or done.returncode == 0, (
            f"soukctl {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done

    def seed(self):
        """Fill the empty catalogue with the seed of `make up`."""
        seed.seed(self.settings, self.api_key, lambda text: None)
