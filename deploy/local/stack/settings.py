"""What can be chosen about the local stack: from the environment, else from `.env`, else the schema's default.

schemas/config.yaml declares every setting once; this module reads the rows that the stack itself needs. All others
go through to the programs untouched, from the same two places.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from . import StackError

ROOT = Path(__file__).resolve().parent.parent.parent.parent
SCHEMA = ROOT / "schemas" / "config.yaml"


def read_env_file(path):
    """NAME=value lines; empty and # lines are skipped, one pair of quotes around a value is removed."""
    values = {}
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return values
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name.isidentifier():
            raise StackError(f"{path}:{number}: expected NAME=value")
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name] = value
    return values


def check(row, text):
    """The value of a row from its text, or StackError."""
    name, kind = row["env"], row["kind"]
    low, high = row.get("min"), row.get("max")
    if kind != "int":
        return text
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise StackError(f"{name}={text}: expected a whole number from {low} to {high}")
    return value


def port_of(name, endpoint):
    """The port of the first endpoint of a `tcp://host:port,...` list."""
    first = endpoint.split(",")[0]
    port = first.rpartition(":")[2]
    if not first.startswith("tcp://") or not port.isdigit():
        raise StackError(f"{name}={endpoint}: expected tcp://address:port")
    return int(port)


@dataclass(frozen=True)
class Settings:
    """The choices, checked: `settings["SOUK_GATEWAY_PORT"]`."""

    values: dict
    chosen: dict = field(repr=False)  # what the environment and .env say
    readers: dict = field(repr=False)  # setting -> the programs that read it
    secret: frozenset = frozenset()  # the settings that nobody sees who does not need them

    def __getitem__(self, name):
        return self.values[name]

    def chosen_for(self, program):
        """What the environment and .env say about the settings that this program reads."""
        return {
            name: text
            for name, text in self.chosen.items()
            if {program, "all"} & self.readers[name]
        }

    @property
    def var(self):
        """The data folder, without symbolic links: it is also the stack's identity."""
        return Path(os.path.realpath(ROOT / self["SOUK_VAR"]))

    @property
    def bin(self):
        """The folder of the built programs."""
        return ROOT / "build" / self["SOUK_PRESET"] / "bin"

    @property
    def gateway_url(self):
        """Base URL of the gateway on this machine."""
        return f"http://127.0.0.1:{self['SOUK_GATEWAY_PORT']}"

    @property
    def keys_file(self):
        """Where the gateway finds the hashes of API keys."""
        return self.var / "keys.json"

    @property
    def admin_key_file(self):
        """Where the first API key is."""
        return self.var / "secrets" / "admin-key"

    @property
    def operator_file(self):
        """Where a shell finds what soukctl needs."""
        return self.var / "secrets" / "soukctl.env"

    @property
    def python(self):
        """The interpreter of the project's environment."""
        return Path(os.environ.get("SOUK_PYTHON", ROOT / ".venv" / "bin" / "python"))


def load(environ=None, env_file=ROOT / ".env"):
    """Read and check the settings. An empty variable counts as not set."""
    rows = yaml.safe_load(SCHEMA.read_text())["config"]
    readers = {row["env"]: set(row["process"]) for row in rows}
    environ = os.environ if environ is None else environ
    given = {
        name: text
        for name, text in {**read_env_file(env_file), **environ}.items()
        if name in readers and text
    }
    values = {row["env"]: check(row, str(given.get(row["env"], row["default"]))) for row in rows}
    secret = frozenset(row["env"] for row in rows if row.get("secret"))
    return Settings(values=values, chosen=given, readers=readers, secret=secret)
