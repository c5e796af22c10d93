"""The parts of the local stack that need no server."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from stack import (
    StackError,
    keys,
    launch,
    migrations,
    plan,
    postgres,
    procs,
    rotate,
    settings,
    specs,
)
from support.stack import wait_for


def load(text="", environ=None, folder=None):
    env_file = folder / ".env"
    env_file.write_text(text)
    return settings.load(environ=environ or {}, env_file=env_file)


def test_environment_wins_over_env_file_and_that_over_the_default(tmp_path):
    text = "# a comment\n\nSOUK_MONGO_PORT=4001\nSOUK_POSTGRES_PORT='4002'\n"
    chosen = load(text, {"SOUK_MONGO_PORT": "5001"}, tmp_path)
    assert chosen["SOUK_MONGO_PORT"] == 5001
    assert chosen["SOUK_POSTGRES_PORT"] == 4002
    assert chosen["SOUK_GATEWAY_PORT"] == 8080


def test_an_empty_variable_counts_as_not_set(tmp_path):
    assert load("", {"SOUK_GATEWAY_PORT": ""}, tmp_path)["SOUK_GATEWAY_PORT"] == 8080


@pytest.mark.parametrize("value", ["x", "-1", "65536", "80.5"])
def test_a_bad_number_names_the_variable(tmp_path, value):
    with pytest.raises(StackError, match=f"SOUK_GATEWAY_PORT={value}.*0 to 65535"):
        load("", {"SOUK_GATEWAY_PORT": value}, tmp_path)


def test_a_bad_line_of_the_env_file_is_named(tmp_path):
    with pytest.raises(StackError, match=r"\.env:2"):
        load("SOUK_MONGO_PORT=1\nnot a setting\n", {}, tmp_path)


def test_a_program_gets_only_what_it_reads(tmp_path):
    environ = {"SOUK_LOG_LEVEL": "debug", "SOUK_WORKER_SLOTS": "2", "SOUK_VAR": "elsewhere"}
    chosen = load("", environ, tmp_path)
    assert chosen.chosen_for("worker") == {"SOUK_LOG_LEVEL": "debug", "SOUK_WORKER_SLOTS": "2"}
    assert chosen.chosen_for("broker") == {"SOUK_LOG_LEVEL": "debug"}


def test_port_of_an_endpoint_list():
    assert settings.port_of("X", "tcp://127.0.0.1:5550,tcp://127.0.0.1:5560") == 5550
    with pytest.raises(StackError):
        settings.port_of("X", "ipc://socket")


def test_instances_differ_in_ports_and_names():
    spec = specs.Spec(
        "w", ["w"], "/", {"A": "1"}, {"PORT": 100}, {"NAME": "w"}, many=True, instances=3
    )
    assert spec.environment(3) == {"A": "1", "PORT": "102", "NAME": "w-3"}
    assert spec.label(3) == "w-3"


def test_digest_changes_with_the_program_but_not_with_the_count():
    def make(**fields):
        return specs.Spec("w", ["w"], "/", **fields).digest()

    assert make(instances=1) == make(instances=5)
    assert make(build_id="a") != make(build_id="b")
    assert make(env={"A": "1"}) != make(env={"A": "2"})


def test_backoff_starts_after_a_few_restarts_and_is_bounded():
    waits = [launch.backoff_s(starts) for starts in range(30)]
    assert waits[: launch.BACKOFF_FREE_STARTS + 1] == [0] * (launch.BACKOFF_FREE_STARTS + 1)
    assert waits == sorted(waits)
    assert waits[launch.BACKOFF_FREE_STARTS + 1] > 0
    assert waits[-1] == launch.BACKOFF_MAX_S


def test_a_process_gets_no_secret_that_its_specification_does_not_name(tmp_path):
    spec = specs.Spec("w", ["/usr/bin/env"], "/", {"SOUK_GUEST_KEYS": "ours"})
    processes = plan.Plan({"w": spec}, "", "", withheld=["SOUK_API_KEY", "SOUK_GUEST_KEYS"])
    processes.save(tmp_path / "run" / "plan.json")
    (tmp_path / "log").mkdir()
    environment = {
        **os.environ,
        procs.MARK: str(tmp_path),
        "SOUK_API_KEY": "theirs",
        "SOUK_GUEST_KEYS": "theirs",
        "PYTHONPATH": str(plan.PACKAGE.parent),
    }
    words = [sys.executable, "-m", plan.PACKAGE.name, "launch", "w", "1"]
    subprocess.run(words, env=environment, check=True, timeout=60)
    said = (tmp_path / "log" / "w.log").read_text().splitlines()
    assert [line for line in said if "KEY" in line] == ["SOUK_GUEST_KEYS=ours"]
    assert f"{procs.PROCESS}=w" in said


def test_starts_are_forgotten_after_the_window(tmp_path):
    path = tmp_path / "starts" / "w"
    assert [launch.count_start(path, now) for now in (0.0, 1.0, 2.0)] == [0, 1, 2]
    assert launch.count_start(path, 2.0 + launch.BACKOFF_WINDOW_S) == 0


def test_a_full_log_moves_and_its_writer_goes_on(tmp_path):
    path = tmp_path / "a.log"
    with open(path, "a") as writer:
        for round_number in range(4):
            writer.write("x" * 100 + str(round_number))
            writer.flush()
            assert rotate.rotate(path, bytes_max=50, generations=2)
        writer.write("after")
        writer.flush()
    assert not rotate.rotate(path, bytes_max=50, generations=2)
    assert path.read_text() == "after"
    assert [(tmp_path / f"a.log.{number}").read_text()[-1] for number in (1, 2)] == ["3", "2"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p@h:1/one", "postgres://u:p@h:1/two"),
        ("postgres://u:p@h:1/one?sslmode=require", "postgres://u:p@h:1/two?sslmode=require"),
        ("mongodb://h:1/", "mongodb://h:1/two"),
        ("mongodb://h:1", "mongodb://h:1/two"),
    ],
)
def test_with_database(url, expected):
    assert postgres.with_database(url, "two") == expected


def test_a_lock_file_whose_pid_belongs_to_another_program_is_removed(tmp_path):
    lock = tmp_path / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n/somewhere\n")
    postgres.remove_stale_lock(tmp_path)
    assert not lock.exists()


def test_a_lock_file_of_a_server_that_runs_here_stays(tmp_path):
    lock = tmp_path / "postmaster.pid"
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path) as server:
        lock.write_text(f"{server.pid}\n")
        postgres.remove_stale_lock(tmp_path)
        server.kill()
    assert lock.exists()


def test_the_holder_of_a_port_is_found():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert procs.listener(port) == [os.getpid()]
    assert procs.listener(port) is None


def test_only_marked_processes_are_found_and_a_stubborn_one_is_killed(tmp_path):
    ignores_term = (
        "import signal, sys; signal.signal(15, signal.SIG_IGN); print(flush=True); signal.pause()"
    )
    environment = {**os.environ, procs.MARK: str(tmp_path), procs.PROCESS: "w-1"}
    marked = subprocess.Popen(
        [sys.executable, "-c", ignores_term], env=environment, stdout=subprocess.PIPE
    )
    other = subprocess.Popen(["sleep", "60"])
    try:
        marked.stdout.readline()
        assert procs.marked(tmp_path) == {marked.pid: "w-1"}
        assert procs.end([marked.pid], timeout_s=0.2) == []
        assert marked.wait(5) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        marked.stdout.close()
        for process in (marked, other):
            process.kill()
            process.wait()


def test_wait_for_gives_up():
    with pytest.raises(AssertionError, match="a miracle"):
        wait_for(lambda: False, timeout_s=0, what="a miracle")


def test_every_default_of_the_schema_is_valid():
    chosen = settings.load(environ={}, env_file=Path("/nonexistent"))
    assert chosen.var == settings.ROOT / "var"


def test_a_shell_learns_from_the_operators_file(tmp_path):
    chosen = load("", {"SOUK_VAR": str(tmp_path), "SOUK_GATEWAY_PORT": "4001"}, tmp_path)
    (tmp_path / "secrets").mkdir()
    for key in ("first", "it's a 'key' $HOME"):  # a second time replaces it
        keys.write_operator_file(chosen, key, {"SOUK_USERS_DATABASE_URL": "postgres://a b"})
    assert chosen.operator_file.stat().st_mode & 0o777 == 0o600
    script = f'. {chosen.operator_file}; printf "%s\\n" "$SOUK_API_KEY" "$SOUK_GATEWAY_URL" "$SOUK_USERS_DATABASE_URL"'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["it's a 'key' $HOME", "http://127.0.0.1:4001", "postgres://a b"]


def test_a_pool_gets_its_own_secrets_and_no_others(tmp_path):
    given = {name: f"the {name}" for pool in plan.POOL_SECRETS.values() for name in pool}
    chosen = load("", {**given, "DATABASE_URL": "theirs", "SOUK_VAR": str(tmp_path)}, tmp_path)
    for spec in plan.programs(chosen, given, list(plan.POOL_SECRETS) + ["diag"]):
        wanted = {"gateway": ["SOUK_GUEST_KEYS"], **plan.POOL_SECRETS}.get(spec.name, ())
        has = {name for name in spec.environment(1) if name in chosen.secret}
        assert has == set(wanted), spec.name


def test_a_made_secret_stays(tmp_path):
    chosen = load("", {"SOUK_VAR": str(tmp_path)}, tmp_path)
    first = plan.made_secrets(chosen)
    assert all(len(bytes.fromhex(value)) == 32 for value in first.values())
    assert len(set(first.values())) == len(first)
    assert plan.made_secrets(chosen) == first
    other = load("", {"SOUK_VAR": str(tmp_path), "SOUK_GUEST_KEYS": "aa"}, tmp_path)
    assert plan.made_secrets(other)["SOUK_GUEST_KEYS"] == "aa"


def test_the_login_of_a_service_replaces_the_owners():
    url = "postgres://souk:secret@h:1/souk?sslmode=require"
    expected = "postgres://souk_users:p%2F%40@h:1/souk?sslmode=require"
    assert migrations.service_url(url, "users", "p/@") == expected
    owner = migrations.dbmate_url(
        "postgres://u:p@h:1/souk?sslmode=prefer", "users", encrypted=False
    )
    assert owner == "postgres://u:p@h:1/souk?sslmode=disable&search_path=users&lock_timeout=5000"
    assert "sslmode=verify-full" in migrations.dbmate_url(
        "postgres://h/d?sslmode=verify-full", "users", False
    )
