"""From settings to the processes of this stack, in the order in which they start."""

import dataclasses
import json
from pathlib import Path

from . import postgres
from .specs import Spec, build_id

PACKAGE = Path(__file__).resolve().parent
LOOPBACK = "127.0.0.1"


@dataclasses.dataclass
class Plan:
    """The processes by name, in start order, and the servers that they use."""

    processes: dict
    database_url: str
    mongodb_uri: str

    def save(self, path):
        """Write the plan for launch.py; it holds the database password, so only its owner may read it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(
            {"processes": {name: dataclasses.asdict(spec) for name, spec in self.processes.items()}}
        )
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        postgres.write_private(new, text)
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


def postgres_spec(settings, data_dir, password_file):
    """The private PostgreSQL server; SIGINT is its fast shutdown."""
    return Spec(
        name="postgres",
        argv=postgres.server_argv(data_dir, settings.postgres_port),
        cwd=str(data_dir),
        ports={"SOUK_POSTGRES_PORT": settings.postgres_port},
        stop_signal="INT",
        stop_timeout_s=30,
        health=("postgres", postgres.url(settings.postgres_port, password_file, "postgres")),
        build_id=build_id(postgres.bin_dir() / "postgres"),
    )
