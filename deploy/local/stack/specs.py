"""The processes of a stack: command, environment, ports, how to ask each for its health, how to stop it.

One description serves `make up` (circus starts it through launch.py) and the end-to-end tests (which start it
themselves), so what the tests run is what an operator runs.
"""

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass, field


@dataclass
class Spec:
    """One kind of process; `many` kinds run as several instances, numbered from 1."""

    name: str
    argv: list
    cwd: str
    env: dict = field(default_factory=dict)  # variables added to the stack's own
    instance_env: dict = field(
        default_factory=dict
    )  # variable -> number for instance 1, counted up
    instance_names: dict = field(
        default_factory=dict
    )  # variable -> prefix of "<prefix>-<instance>"
    ports: dict = field(default_factory=dict)  # variable that chooses it -> port of instance 1
    instances: int = 1
    many: bool = False
    stop_signal: str = "TERM"
    stop_timeout_s: int = 20
    health: tuple = ("none", "")  # (kind, target) for probe.ask; {port} is the instance's port
    health_port: int = 0
    build_id: str = ""  # changes when the program does

    def environment(self, instance):
        """The variables of one instance."""
        counted = {name: str(first + instance - 1) for name, first in self.instance_env.items()}
        named = {name: f"{prefix}-{instance}" for name, prefix in self.instance_names.items()}
        return {**self.env, **counted, **named}

    def label(self, instance):
        """The instance's name in logs and in the status table."""
        return f"{self.name}-{instance}" if self.many else self.name

    def target(self, instance):
        """What to ask for the instance's health."""
        return self.health[0], self.health[1].replace(
            "{port}", str(self.health_port + instance - 1)
        )

    def digest(self):
        """Short digest of all that a running process would have to be restarted for; not of the instance count."""
        content = {**dataclasses.asdict(self), "instances": 0}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def build_id(path):
    """Identity of a program file: a rebuilt one has another."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return "missing"
    return f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
