"""What is made once and kept in var/secrets, each file readable by its owner alone.

The first API key lets the catalogue be written before there are any users; the gateway's keys file holds only its hash.
"""

import secrets
import shlex
import subprocess

from . import StackError
from .postgres import write_private


def require_admin_key(settings):
    """Make the key when it is not there; returns it."""
    keys_file, key_file = settings.keys_file, settings.admin_key_file
    if key_file.exists() and keys_file.exists():
        return key_file.read_text().strip()
    argv = [
        settings.bin / "soukctl",
        "apikey",
        "new",
        "--name",
        "make up",
        "--scopes",
        "*",
        "--file",
        keys_file,
    ]
    done = subprocess.run(
        argv, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise StackError(f"soukctl could not make an API key: {done.stderr.strip()}")
    key_file.parent.mkdir(parents=True, exist_ok=True)
    key_file.unlink(missing_ok=True)
    write_private(key_file, done.stdout)
    return done.stdout.strip()


def require_secret(settings, file):
    """32 random bytes in hex, made when they are not there."""
    path = settings.var / "secrets" / file
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, secrets.token_hex(32) + "\n")
    return path.read_text().strip()


def operator_settings(settings, key):
    """What soukctl needs to know of this stack, besides secrets of its databases."""
    return {
        **settings.chosen_for("soukctl"),
        "SOUK_BROKER_FRONT": settings["SOUK_BROKER_FRONT"],
        "SOUK_GATEWAY_URL": settings.gateway_url,
        "SOUK_BROKER_ADMIN_URL": f"http://127.0.0.1:{settings['SOUK_BROKER_ADMIN_PORT']}",
        "SOUK_API_KEY": key,
    }


def write_operator_file(settings, key, service_urls):
    """A file for a shell to read (`. FILE`), after which soukctl works on this stack."""
    values = {**operator_settings(settings, key), **service_urls}
    text = "".join(f"export {name}={shlex.quote(text)}\n" for name, text in values.items())
    new = settings.operator_file.with_suffix(".new")
    new.unlink(missing_ok=True)
    write_private(new, text)
    new.replace(settings.operator_file)
