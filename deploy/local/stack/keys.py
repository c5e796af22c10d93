"""The first API key: made once, so that the catalogue can be written before there are any users.

The gateway's keys file (gateway/auth.h) holds only hashes; the key itself is beside it, readable by its owner alone.
"""

import hashlib
import json
import secrets

from .postgres import write_private

KEY_ID = "admin"


def require_admin_key(keys_file, key_file):
    """Make the key when it is not there; returns it."""
    if key_file.exists() and keys_file.exists():
        return key_file.read_text().strip()
    secret = secrets.token_hex(32)
    row = {
        "id": KEY_ID,
        "sha256": hashlib.sha256(secret.encode()).hexdigest(),
        "scopes": ["*"],
        "name": "made by make up",
    }
    key_file.parent.mkdir(parents=True, exist_ok=True)
    key = f"souk_{KEY_ID}_{secret}"
    for path, text in ((keys_file, json.dumps({"keys": [row]}, indent=2)), (key_file, key)):
        path.unlink(missing_ok=True)
        write_private(path, text + "\n")
    return key
