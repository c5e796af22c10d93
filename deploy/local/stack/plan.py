"""From settings to the processes of this stack, in the order in which they start."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

from . import mongo, postgres
from .settings import port_of
from .specs import Spec, build_id

PACKAGE = Path(__file__).resolve().parent
LOOPBACK = "127.0.0.1"
MONGO_DATABASE = "souk"


@dataclasses.dataclass
class Plan:
    """The processes by name, in start order, and the servers that they use."""

    processes: dict
    database_url: str  # of the database `postgres`, where others are created; empty: no private server, none given
    mongodb_uri: str

    def save(self, path):
        """Write the plan for launch.py. It holds the database password: only its owner may read it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        processes = {name: dataclasses.asdict(spec) for name, spec in self.processes.items()}
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        postgres.write_private(new, json.dumps({"processes": processes}))
        new.replace(path)

    def ports(self):
        """(port, process label, variable that chooses it) of every port that the stack listens on."""
        for spec in self.processes.values():
            for variable, first in spec.ports.items():
                for instance in range(1, spec.instances + 1):
                    yield first + instance - 1, spec.label(instance), variable

    def targets(self):
        """(label, (kind, target)) of every instance, for probe.ask."""
        for spec in self.processes.values():
            for instance in range(1, spec.instances + 1):
                yield spec.label(instance), spec.target(instance)


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


def worker_spec(name, settings, admin_variable, mongodb_uri):
    """A pool of workers that serve one service."""
    first = settings[admin_variable]
    return program_spec(
        name,
        "souk-worker",
        settings,
        admin_variable,
        env={
            **settings.chosen_for("worker"),
            "SOUK_WORKER_SERVICES": name,
            "SOUK_MONGODB_URI": mongodb_uri,
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


def gateway_spec(settings, keys_file):
    """The gateway."""
    ports = {name: settings[name] for name in ("SOUK_GATEWAY_PORT", "SOUK_GATEWAY_ADMIN_PORT")}
    env = {**settings.chosen_for("gateway"), "SOUK_GATEWAY_KEYS_FILE": str(keys_file)}
    return program_spec(
        "gateway", "souk-gateway", settings, "SOUK_GATEWAY_ADMIN_PORT", env=env, ports=ports
    )


def programs(settings, mongodb_uri):
    """Specs of our own programs, in start order."""
    return [
        broker_spec(settings),
        worker_spec("catalog", settings, "SOUK_CATALOG_ADMIN_PORT", mongodb_uri),
        worker_spec("diag", settings, "SOUK_DIAG_ADMIN_PORT", mongodb_uri),
        gateway_spec(settings, settings.var / "keys.json"),
    ]


def servers(settings, say):
    """Specs of the database servers that this stack runs itself, and the URLs of those that it uses."""
    var = settings.var
    specs = []
    database_url = settings["DATABASE_URL"]
    if not database_url:
        data_dir = postgres.choose_dir(var / "postgres")
        if data_dir != var / "postgres":
            say(f"the user postgres cannot reach {var}: its cluster is in {data_dir}")
        password_file = var / "secrets" / "postgres"
        if postgres.make_cluster(data_dir, password_file):
            say(f"made a PostgreSQL cluster in {data_dir}")
        specs.append(postgres_spec(settings["SOUK_POSTGRES_PORT"], data_dir, password_file))
        database_url = specs[0].health[1]
    mongodb_uri = settings["MONGODB_URI"]
    if not mongodb_uri:
        port = settings["SOUK_MONGO_PORT"]
        mongod = shutil.which("mongod")
        if mongod:
            specs.append(mongod_spec(port, mongod, var / "mongo"))
        else:
            binary = mongo.build(settings.bin.parent.parent / "mongo", settings.python, say)
            specs.append(
                ferretdb_spec(port, binary, postgres.with_database(database_url, "ferretdb"), var)
            )
        mongodb_uri = f"mongodb://{LOOPBACK}:{port}/{MONGO_DATABASE}"
    return specs, database_url, mongodb_uri


def make(settings, say):
    """The whole stack. Makes what the database servers need on disk, but starts nothing."""
    specs, database_url, mongodb_uri = servers(settings, say)
    specs += programs(settings, mongodb_uri)
    argv = [sys.executable, "-m", PACKAGE.name, "rotate"]
    specs.append(Spec(name="logs", argv=argv, cwd=str(PACKAGE.parent)))
    return Plan({spec.name: spec for spec in specs if spec.instances}, database_url, mongodb_uri)
