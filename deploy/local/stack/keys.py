"""What is made once and kept in var/secrets, each file readable by its owner alone.

The first API key lets the catalogue be written before there are any users; the gateway's keys file holds only its hash.
"""

import secrets
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
