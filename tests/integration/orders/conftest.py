"""The orders service's SQL on a PostgreSQL of these tests' own, without a worker."""

import psycopg
import pytest
from lab import Lab
from support.stack import Servers


@pytest.fixture(scope="session")
def server():
    with Servers(mongo=False) as started:
        yield started


@pytest.fixture
def connect(server):
    """Connections to a freshly migrated database, as the service has them: connect(autocommit=True)."""
    name = server.migrated_database()
    opened = []

    def connection(autocommit=True):
        opened.append(psycopg.connect(server.service_url("orders", name), autocommit=autocommit))
        return opened[-1]

    yield connection
    for each in opened:
        each.close()
    server.drop_database(name)


@pytest.fixture
def db(connect):
    return connect()


@pytest.fixture
def lab(server, connect):
    made = Lab(server, connect)
    yield made
    made.close()
