"""Run a command beside a private PostgreSQL and MongoDB-protocol server, then end them.

python -m support.with_servers ctest --test-dir build/dev -L integration

The command finds them in SOUK_TEST_MONGODB_URI (a database of its own) and SOUK_TEST_DATABASE_URL (the superuser's), and the services' migrated
tables in SOUK_TEST_USERS_URL and SOUK_TEST_ORDERS_URL (their logins, one database). Tests run beside each other there: each uses rows of its own, or
makes a database by CREATE DATABASE ... TEMPLATE with the name in SOUK_TEST_TEMPLATE.
"""

import os
import subprocess
import sys

from .stack import TEMPLATE, Servers


def main(command):
    """Run the command and return its exit code."""
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    with Servers() as servers:
        database = servers.migrated_database()
        environment = {
            **os.environ,
            "SOUK_TEST_MONGODB_URI": servers.mongodb_uri(),
            "SOUK_TEST_DATABASE_URL": servers.database_url,
            "SOUK_TEST_USERS_URL": servers.service_url("users", database),
            "SOUK_TEST_ORDERS_URL": servers.service_url("orders", database),
            "SOUK_TEST_TEMPLATE": TEMPLATE,
        }
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
