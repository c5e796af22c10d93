"""The first API key, made once, so that the catalogue can be written before there are any users.

The gateway's keys file holds only hashes; the key itself is beside it, readable by its owner alone.
"""

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
