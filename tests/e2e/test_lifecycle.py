"""`make up`, `make status`, `make down`, as an operator meets them: in a data folder and on ports of their own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest
from stack import procs, supervise
from support.ports import PORTS
from support.stack import PRESET, ROOT, clean_environment, wait_for

PORT_SETTINGS = (
    "SOUK_GATEWAY_PORT",
    "SOUK_GATEWAY_ADMIN_PORT",
    "SOUK_BROKER_ADMIN_PORT",
    "SOUK_POSTGRES_PORT",
    "SOUK_MONGO_PORT",
)
LABELS = ("postgres", "mongo", "broker", "catalog-1", "catalog-2", "users-1", "orders-1")
LABELS += ("orders-2", "diag-1", "gateway", "logs")
URL_SETTINGS = ("SOUK_USERS_DATABASE_URL", "SOUK_ORDERS_DATABASE_URL")
HEAL_TIMEOUT_S = 30


class Operator:
    """Runs the stack's commands with settings of its own."""

    def __init__(self, var):
        self.var = var
        self.env = clean_environment()
        self.env.update(
            {
                name: str(port)
                for name, port in zip(PORT_SETTINGS, PORTS.take(len(PORT_SETTINGS)), strict=True)
            }
        )
        front, back = PORTS.take(2)
        self.env.update(
            SOUK_VAR=str(var),
            SOUK_PRESET=PRESET,
            SOUK_PYTHON=sys.executable,
            SOUK_BROKER_FRONT=f"tcp://127.0.0.1:{front}",
            SOUK_BROKER_BACK=f"tcp://127.0.0.1:{back}",
            SOUK_CATALOG_ADMIN_PORT=str(PORTS.take(2)[0]),
            SOUK_USERS_ADMIN_PORT=str(PORTS.take(1)[0]),
            SOUK_ORDERS_ADMIN_PORT=str(PORTS.take(2)[0]),
            SOUK_DIAG_ADMIN_PORT=str(PORTS.take(1)[0]),
            PYTHONPATH=str(ROOT / "deploy" / "local"),
        )

    def run(self, command, check=True):
        """Run `python -m stack COMMAND`, which is all that `make COMMAND` does after installing."""
        done = subprocess.run(
            [sys.executable, "-m", "stack", command],
            env=self.env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
        return done

    def pids(self):
        """label -> pids of the living processes; circusd is ''. More than one pid is a duplicate."""
        found = {}
        for pid, label in procs.marked(self.var).items():
            found.setdefault(label, []).append(pid)
        return found

    def service_logins(self):
        """The services whose schema their login of this data folder reaches."""
        plan = json.loads((self.var / "run" / "plan.json").read_text())["processes"]
        urls = [spec["env"].get(name) for spec in plan.values() for name in URL_SETTINGS]
        found = set()
        for url in filter(None, urls):
            with psycopg.connect(url, connect_timeout=5) as connection:
                found.add(connection.execute("SELECT current_schema()").fetchone()[0])
        return found

    def supervisor_pid(self):
        return supervise.Supervisor(self.var).pid()

    def is_ready(self):
        return self.run("status", check=False).returncode == 0


@pytest.fixture(scope="module")
def operator():
    folder = Path(tempfile.mkdtemp(prefix="souk-lifecycle-"))
    folder.chmod(0o711)
    operator = Operator(folder / "var")
    try:
        yield operator
    finally:
        operator.run("down")
        shutil.rmtree(folder)


@pytest.fixture
def up(operator):
    """The stack is up and ready, with one process for each label."""
    operator.run("up")
    assert sorted(operator.pids()) == sorted(("", *LABELS))
    return operator


def test_up_says_where_the_gateway_is(operator):
    done = operator.run("up")
    assert f"http://127.0.0.1:{operator.env['SOUK_GATEWAY_PORT']}" in done.stdout


def test_a_second_up_changes_no_process(up):
    before = up.pids()
    up.run("up")
    assert up.pids() == before


def test_no_program_meets_a_database_without_its_tables(up):
    assert "does not exist" not in (up.var / "log" / "postgres.log").read_text()


@pytest.mark.parametrize("label", LABELS)
def test_a_killed_process_comes_back(up, label):
    (killed,) = up.pids()[label]
    os.kill(killed, signal.SIGKILL)

    def healed():
        pids = up.pids().get(label, [])
        return pids and killed not in pids and up.is_ready()

    wait_for(healed, HEAL_TIMEOUT_S, f"{label} is back and all is ready")
    assert len(up.pids()[label]) == 1


def test_up_recovers_from_a_killed_supervisor_without_duplicates(up):
    orphans = {pid for pids in up.pids().values() for pid in pids}
    os.kill(up.supervisor_pid(), signal.SIGKILL)
    assert up.run("status", check=False).returncode == 1
    up.run("up")
    pids = up.pids()
    assert sorted(pids) == sorted(("", *LABELS))
    assert all(len(found) == 1 for found in pids.values()), pids
    assert not orphans & {pid for found in pids.values() for pid in found}
    assert up.is_ready()


def test_up_restarts_only_a_rebuilt_program(up):
    before = up.pids()
    os.utime(ROOT / "build" / PRESET / "bin" / "souk-broker")
    up.run("up")
    after = up.pids()
    assert after.pop("broker") != before.pop("broker")
    assert after == before


def test_changed_process_count_is_applied(up):
    before = up.pids()
    up.env["SOUK_CATALOG_PROCESSES"] = "1"
    try:
        up.run("up")
        after = up.pids()
        assert len([label for label in after if label.startswith("catalog-")]) == 1
        assert after["broker"] == before["broker"]
    finally:
        del up.env["SOUK_CATALOG_PROCESSES"]
        up.run("up")
    assert len([label for label in up.pids() if label.startswith("catalog-")]) == 2


def test_a_busy_port_is_named_with_its_holder_and_its_setting(up):
    second = Operator(up.var.parent / "second")
    with socket.create_server(("127.0.0.1", int(second.env["SOUK_GATEWAY_PORT"]))):
        done = second.run("up", check=False)
    assert done.returncode == 1
    for expected in (
        f"port {second.env['SOUK_GATEWAY_PORT']}",
        str(os.getpid()),
        "SOUK_GATEWAY_PORT",
    ):
        assert expected in done.stderr
    assert second.pids() == {}


def test_down_leaves_no_process(up):
    assert "is down" in up.run("down").stdout
    assert up.pids() == {}
    ports = [int(value) for name, value in up.env.items() if name in PORT_SETTINGS]
    assert [port for port in ports if procs.listener(port)] == []
    assert "was not up" in up.run("down").stdout


def test_given_database_servers_are_used(operator, servers):
    third = Operator(operator.var.parent / "third")
    third.env.update(DATABASE_URL=servers.database_url, MONGODB_URI=servers.mongodb_uri())
    try:
        third.run("up")
        assert third.service_logins() == {"users", "orders"}
        assert sorted(third.pids()) == sorted({"", *LABELS} - {"postgres", "mongo"})
        assert not (third.var / "postgres").exists()
    finally:
        third.run("clean")
    assert not third.var.exists()
