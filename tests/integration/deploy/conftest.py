"""A PostgreSQL of these tests' own: they change logins, which are the whole server's."""

import psycopg
import pytest
from stack import migrations, postgres
from support.stack import Servers


@pytest.fixture(scope="session")
def server():
    with Servers(mongo=False) as started:
        yield started


class Lab:
    """A database with a folder of migrations of its own."""

    def __init__(self, server, folder, name):
        self.server, self.folder, self.name = server, folder, name
        self.url = postgres.with_database(server.database_url, name)
        self.passwords = {service: f"pass-{service}" for service in migrations.SERVICES}
        self.said = []

    def write(self, service, version, up, down="SELECT 1;"):
        (self.folder / service).mkdir(exist_ok=True)
        text = f"-- migrate:up\n-- step: expand\n{up}\n\n-- migrate:down\n{down}\n"
        (self.folder / service / f"{version}_step.sql").write_text(text)

    def prepare(self):
        migrations.prepare(
            self.server.database_url, self.name, self.passwords, self.said.append, self.folder
        )

    def owner(self, service="users"):
        """A superuser's connection."""
        return psycopg.connect(self.url, autocommit=True, options=f"-csearch_path={service}")

    def login(self, service, password=None):
        """A connection as the service has it."""
        url = migrations.service_url(self.url, service, password or self.passwords[service])
        return psycopg.connect(url, autocommit=True)


@pytest.fixture
def lab(server, tmp_path, request):
    lab = Lab(server, tmp_path, f"lab_{abs(hash(request.node.nodeid)) % 10**9}")
    yield lab
    server.drop_database(lab.name)
