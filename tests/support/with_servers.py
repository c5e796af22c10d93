"""Run a command beside a private PostgreSQL and MongoDB-protocol server, then end them.

python -m support.with_servers ctest --test-dir build/dev -L integration

The command finds them in SOUK_TEST_MONGODB_URI (a database of its own) and SOUK_TEST_DATABASE_URL.
"""

import os
import subprocess
import sys

from .stack import Servers


def main(command):
    """Run the command and return its exit code."""
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    with Servers() as servers:
        environment = {
            **os.environ,
            "SOUK_TEST_MONGODB_URI": servers.mongodb_uri(),
            "SOUK_TEST_DATABASE_URL": servers.database_url,
        }
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
