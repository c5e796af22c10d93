"""What can be chosen about the local stack: from the environment, else from `.env`, else a default.

The names here are those of the stack itself. The programs' own settings (schemas/config.yaml, `.env.example`) go
through to them untouched, from the same two places.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent


class SettingsError(Exception):
    """A setting cannot be used; the text names it and says what fits."""


def read_env_file(path):
    """NAME=value lines; empty lines and # comments are skipped, one pair of quotes around a value is removed."""
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
            raise SettingsError(f"{path}:{number}: expected NAME=value")
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name] = value
    return values


@dataclass(frozen=True)
class Settings:
    """The choices, checked."""

    var: Path
    preset: str
    gateway_port: int
    broker_front_port: int
    broker_back_port: int
    broker_admin_port: int
    gateway_admin_port: int
    catalog_admin_port: int
    diag_admin_port: int
    postgres_port: int
    mongo_port: int
    catalog_processes: int
    diag_processes: int
    database_url: str = ""
    mongodb_uri: str = ""
    environment: dict = field(default_factory=dict, repr=False)

    @property
    def bin(self):
        """The folder of the built programs."""
        return ROOT / "build" / self.preset / "bin"


# Setting -> (environment variable, default, lowest, highest).
NUMBERS = {
    "gateway_port": ("SOUK_GATEWAY_PORT", 8080, 1, 65535),
    "gateway_admin_port": ("SOUK_GATEWAY_ADMIN_PORT", 8081, 1, 65535),
    "broker_front_port": ("SOUK_BROKER_FRONT_PORT", 7701, 1, 65535),
    "broker_back_port": ("SOUK_BROKER_BACK_PORT", 7702, 1, 65535),
    "broker_admin_port": ("SOUK_BROKER_ADMIN_PORT", 7703, 1, 65535),
    "diag_admin_port": ("SOUK_DIAG_ADMIN_PORT", 7710, 1, 65535),
    "catalog_admin_port": ("SOUK_CATALOG_ADMIN_PORT", 7720, 1, 65535),
    "postgres_port": ("SOUK_POSTGRES_PORT", 7732, 1, 65535),
    "mongo_port": ("SOUK_MONGO_PORT", 7717, 1, 65535),
    "catalog_processes": ("SOUK_CATALOG_PROCESSES", 2, 1, 10),
    "diag_processes": ("SOUK_DIAG_PROCESSES", 1, 0, 10),
}


def variable(name):
    """The environment variable of a numeric setting."""
    return NUMBERS[name][0]


def load(environ=None, env_file=ROOT / ".env"):
    """Read and check the settings."""
    given = {**read_env_file(env_file), **(os.environ if environ is None else environ)}
    values = {}
    for name, (key, default, low, high) in NUMBERS.items():
        text = given.get(key, str(default))
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise SettingsError(f"{key}={text}: expected a whole number from {low} to {high}")
        values[name] = int(text)
    var = Path(given.get("SOUK_VAR") or ROOT / "var")
    return Settings(
        var=Path(os.path.realpath(ROOT / var)),
        preset=given.get("SOUK_PRESET", "release"),
        database_url=given.get("DATABASE_URL", ""),
        mongodb_uri=given.get("MONGODB_URI", ""),
        environment=given,
        **values,
    )
