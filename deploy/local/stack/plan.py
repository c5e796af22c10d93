"""From settings to the processes of this stack, in the order in which they start."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

from . import keys, migrations, mongo, postgres
from .settings import ROOT, port_of
from .specs import Spec, build_id

PACKAGE = Path(__file__).resolve().parent
LOOPBACK = "127.0.0.1"
MONGO_DATABASE = "souk"
FERRETDB_DATABASE = "ferretdb"
# The worker pools of `make up`, in start order.
POOLS = ("catalog", "users", "orders", "diag")
# The secret settings that a pool's service needs: it gets these and no others.
POOL_SECRETS = {
    "catalog": ("SOUK_MONGODB_URI",),
    "users": ("SOUK_USERS_DATABASE_URL", "SOUK_USERS_SECRET_KEY"),
    "orders": ("SOUK_ORDERS_DATABASE_URL", "SOUK_GUEST_KEYS"),
}
# Secrets that are made once and kept in the data folder, unless they are chosen.
MADE_SECRETS = {"SOUK_GUEST_KEYS": "guest-keys", "SOUK_USERS_SECRET_KEY": "users-key"}


@dataclasses.dataclass
class Plan:
    """The processes by name, in start order, and the servers that they use."""

    processes: dict
    database_url: str  # of the database `postgres`, where others are created; empty: no private server, none given
    mongodb_uri: str
    databases: list = dataclasses.field(
        default_factory=list
    )  # FerretDB's, to create on database_url
    passwords: dict = dataclasses.field(
        default_factory=dict
    )  # service -> its role's, to prepare there
    secrets: dict = dataclasses.field(default_factory=dict)  # secret settings of our programs
    withheld: list = dataclasses.field(default_factory=list)  # variables that no process inherits

    def add(self, spec):
        """Add a process; a pool of none is left out."""
        if spec.instances:
            self.processes[spec.name] = spec

    def save(self, path):
        """Write the plan for launch.py. It holds the database password: only its owner may read it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        processes = {name: dataclasses.asdict(spec) for name, spec in self.processes.items()}
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        postgres.write_private(new, json.dumps({"processes": processes, "withheld": self.withheld}))
        new.replace(path)

    def ports(self):
        """(port, process label, variable that chooses it) of every port that the stack listens on."""
        for spec in self.processes.values():
            for variable, first in spec.ports.items():
                for instance in range(1, spec.instances + 1):
                    yield first + instance - 1, spec.label(instance), variable

    @classmethod
    def read(cls, path):
        """The processes of a saved plan; empty when there is none."""
        try:
            saved = json.loads(path.read_text())["processes"]
        except FileNotFoundError:
            saved = {}
        return cls({name: Spec(**fields) for name, fields in saved.items()}, "", "")


def postgres_spec(port, data_dir, password_file, durable=True):
    """The private PostgreSQL server; SIGINT is its fast, clean shutdown."""
    return Spec(
        name="postgres",
        argv=postgres.server_argv(data_dir, port, durable),
        cwd=str(data_dir),
        ports={"SOUK_POSTGRES_PORT": port},
        stop_signal="INT",
        stop_timeout_s=30,
        health=("postgres", postgres.url(port, password_file, "postgres")),
        build_id=build_id(postgres.bin_dir() / "postgres"),
    )


def ferretdb_spec(port, binary, postgres_url, cwd):
    """The embedded MongoDB-protocol server on PostgreSQL."""
    return Spec(
        name="mongo",
        argv=[str(binary)],
        cwd=str(cwd),
        env={"SOUK_MONGO_LISTEN": f"{LOOPBACK}:{port}", "SOUK_MONGO_POSTGRES_URL": postgres_url},
        ports={"SOUK_MONGO_PORT": port},
        health=("mongo", f"mongodb://{LOOPBACK}:{port}/"),
        build_id=build_id(binary),
    )


def mongod_spec(port, program, data_dir):
    """A MongoDB server of this machine, on a private data folder."""
    data_dir.mkdir(parents=True, exist_ok=True)
    argv = [
        program,
        "--dbpath",
        str(data_dir),
        "--bind_ip",
        LOOPBACK,
        "--port",
        str(port),
        "--quiet",
    ]
    return Spec(
        name="mongo",
        argv=argv,
        cwd=str(data_dir),
        ports={"SOUK_MONGO_PORT": port},
        stop_timeout_s=30,
        health=("mongo", f"mongodb://{LOOPBACK}:{port}/"),
        build_id=build_id(program),
    )


def program_spec(name, program, settings, health_variable, **more):
    """One of our own programs: configured by its environment, healthy when its admin port's /readyz says so."""
    binary = settings.bin / program
    return Spec(
        name=name,
        argv=[str(binary)],
        cwd=str(settings.var),
        health=("http", f"http://{LOOPBACK}:{{port}}/readyz"),
        health_port=settings[health_variable],
        build_id=build_id(binary),
        stop_timeout_s=30,
        **more,
    )


def worker_spec(name, settings, secrets):
    """A pool of workers that serve one service."""
    admin_variable = f"SOUK_{name.upper()}_ADMIN_PORT"
    first = settings[admin_variable]
    chosen = settings.chosen_for("worker")
    return program_spec(
        name,
        "souk-worker",
        settings,
        admin_variable,
        env={
            "SOUK_SNAPSHOT_DIRECTORY": str(settings.var / "snapshots"),
            **{key: text for key, text in chosen.items() if key not in settings.secret},
            **{key: secrets[key] for key in POOL_SECRETS.get(name, ())},
            "SOUK_WORKER_SERVICES": name,
        },
        instance_env={"SOUK_WORKER_ADMIN_PORT": first},
        instance_names={"SOUK_WORKER_NAME": name},
        ports={admin_variable: first},
        instances=settings[f"SOUK_{name.upper()}_PROCESSES"],
        many=True,
    )


def broker_spec(settings):
    """The broker."""
    ports = {
        name: port_of(name, settings[name]) for name in ("SOUK_BROKER_FRONT", "SOUK_BROKER_BACK")
    }
    ports["SOUK_BROKER_ADMIN_PORT"] = settings["SOUK_BROKER_ADMIN_PORT"]
    return program_spec(
        "broker",
        "souk-broker",
        settings,
        "SOUK_BROKER_ADMIN_PORT",
        env=settings.chosen_for("broker"),
        ports=ports,
    )


def gateway_spec(settings, secrets):
    """The gateway."""
    ports = {name: settings[name] for name in ("SOUK_GATEWAY_PORT", "SOUK_GATEWAY_ADMIN_PORT")}
    env = {
        **settings.chosen_for("gateway"),
        "SOUK_GATEWAY_KEYS_FILE": str(settings.keys_file),
        "SOUK_GUEST_KEYS": secrets["SOUK_GUEST_KEYS"],
    }
    return program_spec(
        "gateway", "souk-gateway", settings, "SOUK_GATEWAY_ADMIN_PORT", env=env, ports=ports
    )


def programs(settings, secrets, pools=POOLS):
    """Specs of our own programs, in start order; secrets: secret setting -> value."""
    return [
        broker_spec(settings),
        *(worker_spec(name, settings, secrets) for name in pools),
        gateway_spec(settings, secrets),
    ]


def made_secrets(settings):
    """Secret settings that have no server behind them."""
    return {
        name: settings.chosen.get(name) or keys.require_secret(settings, file)
        for name, file in MADE_SECRETS.items()
    }


def service_databases(settings, plan):
    """Where the services on PostgreSQL find their tables: in a database that `make up` prepares, unless one is chosen."""
    for service in migrations.SERVICES:
        name = f"SOUK_{service.upper()}_DATABASE_URL"
        url = settings.chosen.get(name)
        if url is None:
            password = keys.require_secret(settings, migrations.role(service))
            plan.passwords[service] = password
            database_url = postgres.with_database(plan.database_url, migrations.DATABASE)
            url = migrations.service_url(database_url, service, password)
        plan.secrets[name] = url


def servers(settings, say):
    """The plan's database servers: those that this stack runs itself, and the URLs of those that it uses."""
    var = settings.var
    plan = Plan({}, settings["DATABASE_URL"], settings["MONGODB_URI"])
    if not plan.database_url:
        data_dir = postgres.choose_dir(var / "postgres")
        if data_dir != var / "postgres":
            say(f"the user postgres cannot reach {var}: its cluster is in {data_dir}")
        password_file = var / "secrets" / "postgres"
        if postgres.make_cluster(data_dir, password_file):
            say(f"made a PostgreSQL cluster in {data_dir}")
        plan.add(postgres_spec(settings["SOUK_POSTGRES_PORT"], data_dir, password_file))
        plan.database_url = plan.processes["postgres"].health[1]
    if not plan.mongodb_uri:
        port = settings["SOUK_MONGO_PORT"]
        mongod = shutil.which("mongod")
        if mongod:
            plan.add(mongod_spec(port, mongod, var / "mongo"))
        else:
            binary = mongo.build(ROOT / "build" / "mongo", settings.python, say)
            url = postgres.with_database(plan.database_url, FERRETDB_DATABASE)
            plan.add(ferretdb_spec(port, binary, url, var))
            plan.databases.append(FERRETDB_DATABASE)
        plan.mongodb_uri = f"mongodb://{LOOPBACK}:{port}/{MONGO_DATABASE}"
    return plan


def make(settings, say):
    """The whole stack. Makes what the database servers need on disk, but starts nothing."""
    plan = servers(settings, say)
    plan.withheld = sorted(settings.secret)
    plan.secrets = {**made_secrets(settings), "SOUK_MONGODB_URI": plan.mongodb_uri}
    service_databases(settings, plan)
    for spec in programs(settings, plan.secrets):
        plan.add(spec)
    argv = [sys.executable, "-m", PACKAGE.name, "rotate"]
    plan.add(Spec(name="logs", argv=argv, cwd=str(PACKAGE.parent)))
    return plan
