"""soukctl from the outside: keys files, a scripted broker's front, a scripted admin endpoint."""

import hashlib
import http.server
import json
import os
import re
import stat
import subprocess
import tempfile
import threading
from pathlib import Path

import msgpack
import pytest
import zmq

ROOT = Path(__file__).resolve().parent.parent.parent.parent
BUILD = Path(
    os.environ.get("SOUK_BUILD_DIR", ROOT / "build" / os.environ.get("SOUK_TEST_PRESET", "dev"))
)
SOUKCTL = BUILD / "bin" / "soukctl"
HELLO, WELCOME, REQ, REP, ERR, PING, PONG = 1, 2, 5, 6, 7, 10, 11


def run(*args, stdin=None):
    return subprocess.run([SOUKCTL, *args], capture_output=True, text=True, timeout=30, input=stdin)


# ---- help and misuse ----


@pytest.mark.parametrize("command", ["apikey", "call", "outbox", "queues"])
def test_each_command_has_help_and_stands_in_the_list(command):
    done = run(command, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"usage: soukctl {command}")
    assert f"  {command} " in run("--help").stdout


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["nothing"],
        ["--nothing", "1", "call"],
        ["call"],
        ["call", "diag"],
        ["call", ".echo"],
        ["call", "a.b", "{}", "c"],
        ["call", "a.b", "{"],
        ["call", "a.b", "[]"],
        ["call", "a.b", "{} x"],
        ["call", "--timeout-ms", "0", "a.b"],
        ["call", "--class", "wild", "a.b"],
        ["call", "a." + "b" * 33],
        ["apikey"],
        ["apikey", "new"],
        ["apikey", "new", "--name", "x", "--scopes", ",,"],
        ["outbox"],
        ["outbox", "hide"],
        ["outbox", "show", "more"],
        ["outbox", "show", "--service", "catalog"],
        ["outbox", "show", "--limit", "1001"],
        ["queues", "a", "b"],
        ["queues", "../x"],
    ],
    ids=lambda args: " ".join(args) or "nothing",
)
def test_misuse_is_exit_code_2(args, tmp_path):
    done = run(*args, *(["--file", str(tmp_path / "keys.json")] if args[:1] == ["apikey"] else []))
    assert done.returncode == 2 and done.stderr and not done.stdout


def test_flags_and_version():
    assert "SOUK_BROKER_FRONT" in run("--flags").stdout
    assert run("--version").stdout.startswith("souk ")


# ---- apikey ----


def new(path, name="importer", scopes="catalog:write"):
    return run("apikey", "new", "--name", name, "--scopes", scopes, "--file", str(path))


def test_a_new_key_is_shown_once_and_kept_as_hash(tmp_path):
    path = tmp_path / "keys.json"
    done = new(path, scopes="catalog:write,catalog:read")
    assert done.returncode == 0
    key = re.fullmatch(r"souk_([0-9a-f]{12})_([0-9a-f]{64})\n", done.stdout)
    assert json.loads(path.read_text()) == {
        "keys": [
            {
                "id": key[1],
                "name": "importer",
                "sha256": hashlib.sha256(key[2].encode()).hexdigest(),
                "scopes": ["catalog:write", "catalog:read"],
            }
        ]
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["keys.json"], "no temporary file is left"
    assert key[2] not in path.read_text()


def test_keys_add_up_and_revoke_removes_one(tmp_path):
    path = tmp_path / "keys.json"
    ids = [new(path, name=f"n{at}").stdout.split("_")[1] for at in range(3)]
    assert run("apikey", "revoke", ids[1], "--file", str(path)).returncode == 0
    assert [row["id"] for row in json.loads(path.read_text())["keys"]] == [ids[0], ids[2]]
    listed = run("apikey", "list", "--file", str(path)).stdout
    assert ids[0] in listed and ids[1] not in listed and "[catalog:write]" in listed
    assert run("apikey", "revoke", "nobody", "--file", str(path)).returncode == 2


def test_commands_at_once_lose_no_key(tmp_path):
    path = tmp_path / "keys.json"
    argv = [SOUKCTL, "apikey", "new", "--name", "x", "--scopes", "*", "--file", str(path)]
    started = [subprocess.Popen(argv, stdout=subprocess.DEVNULL) for _ in range(8)]
    assert [process.wait(30) for process in started] == [0] * 8
    assert len(json.loads(path.read_text())["keys"]) == 8


@pytest.mark.parametrize("text", ["", "{", "[]", '{"keys": 1}'])
def test_a_broken_file_is_left_alone(tmp_path, text):
    path = tmp_path / "keys.json"
    path.write_text(text)
    assert new(path).returncode == 4
    assert path.read_text() == text


def test_a_missing_folder_is_said(tmp_path):
    done = new(tmp_path / "none" / "keys.json")
    assert done.returncode == 4 and "none" in done.stderr


# ---- call ----


class Front(threading.Thread):
    """A broker's front that answers each REQ with what `answer` returns: (type, body)."""

    def __init__(self, endpoint, answer):
        super().__init__(daemon=True)
        self.answer = answer
        self.requests = []
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(endpoint)
        self.running = True

    def run(self):
        while self.running:
            if self.socket.poll(20):
                peer, frame = self.socket.recv_multipart()
                unpacker = msgpack.Unpacker(raw=False)
                unpacker.feed(frame)
                for envelope in unpacker:
                    reply = self.react(envelope)
                    if reply:
                        self.socket.send_multipart([peer, msgpack.packb(reply)])
        self.socket.close()

    def react(self, envelope):
        if envelope[1] == HELLO:
            return [1, WELCOME, b"s" * 16, 1, 1000, 1114112, "front"]
        if envelope[1] == PING:
            return [1, PONG, envelope[2]]
        if envelope[1] != REQ:
            return None
        self.requests.append(envelope)
        kind, body = self.answer(envelope)
        return [1, kind, envelope[2], 0, None, msgpack.packb(body, datetime=True)] if kind else None


@pytest.fixture
def front():
    with tempfile.TemporaryDirectory(prefix="souk-") as folder:
        made = []

        def make(answer):
            endpoint = f"ipc://{folder}/front{len(made)}"
            made.append(Front(endpoint, answer))
            made[-1].start()
            made[-1].endpoint = endpoint
            return made[-1]

        yield make
        for each in made:
            each.running = False
            each.join(5)


def test_call_prints_the_reply(front):
    broker = front(lambda req: (REP, {"text": "hé", "n": [1, None, True, 1.5]}))
    done = run("--front", broker.endpoint, "call", "diag.echo", '{"text": "hello", "number": 5}')
    assert (done.returncode, json.loads(done.stdout)) == (
        0,
        {"text": "hé", "n": [1, None, True, 1.5]},
    )
    (request,) = broker.requests
    assert request[8:10] == ["diag", "echo"]
    assert msgpack.unpackb(request[14]) == {"text": "hello", "number": 5}
    assert request[6] == 0, "the schema says that echo is a read"
    assert 0 < request[3] <= 5000


def test_json_values_of_every_kind_go_through(front):
    value = {
        "a": [],
        "b": {},
        "c": [1, -1, 2**53, 1.25, True, False, None, "é\n"],
        "d": {"e": {"f": [[]]}},
    }
    broker = front(lambda req: (REP, msgpack.unpackb(req[14])))
    done = run("--front", broker.endpoint, "call", "any.thing", "-", stdin=json.dumps(value))
    assert json.loads(done.stdout) == value
    assert broker.requests[0][6] == 2, "a method that nobody knows is never repeated"


def test_an_unknown_method_takes_class_and_key_from_the_flags(front):
    broker = front(lambda req: (REP, {}))
    assert (
        run(
            "--front", broker.endpoint, "call", "--class", "keyed", "--key", "k1", "any.thing"
        ).returncode
        == 0
    )
    assert broker.requests[0][6] == 1 and broker.requests[0][10] == "k1"


def test_an_error_goes_to_standard_error(front):
    fault = {
        "code": "validation",
        "detail": "no",
        "errors": [{"pointer": "/text", "reason": "is bad", "in": "body"}],
    }
    broker = front(lambda req: (ERR, fault))
    done = run("--front", broker.endpoint, "call", "diag.echo", "{}")
    assert done.returncode == 1 and done.stdout == ""
    problem = json.loads(done.stderr)
    assert (
        problem["code"] == "validation"
        and problem["errors"] == fault["errors"]
        and problem["detail"] == "no"
    )


def test_no_answer_in_time_is_exit_code_3(front):
    broker = front(lambda req: (None, None))
    done = run(
        "--front", broker.endpoint, "call", "--timeout-ms", "300", "diag.echo", '{"text": "x"}'
    )
    assert done.returncode == 3 and json.loads(done.stderr)["code"] == "timeout"


def test_no_broker_is_exit_code_3(tmp_path):
    done = run(
        "--front", f"ipc://{tmp_path}/nobody", "call", "--timeout-ms", "200", "diag.echo", "{}"
    )
    assert done.returncode == 3 and json.loads(done.stderr)["code"] == "no_broker"


# ---- queues ----

QUEUE = {
    "ready": 3,
    "inflight": 2,
    "demand": 5,
    "oldest_seconds": 1.25,
    "workers": 2,
    "slots_free": 7,
}


class Admin(http.server.BaseHTTPRequestHandler):
    replies = {"/v1/queues": {"queues": {"diag": QUEUE}}, "/v1/queues/diag": QUEUE}

    def do_GET(self):
        found = self.replies.get(self.path)
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def admin():
    server = http.server.HTTPServer(("127.0.0.1", 0), Admin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize("service", [[], ["diag"]])
def test_queues_prints_a_row_for_each_service(admin, service):
    done = run("queues", *service, "--url", admin)
    head, row = done.stdout.splitlines()
    assert done.returncode == 0
    assert head.split() == [
        "service",
        "ready",
        "inflight",
        "demand",
        "oldest_s",
        "workers",
        "slots_free",
    ]
    assert row.split() == ["diag", "3", "2", "5", "1.2", "2", "7"]


def test_queues_as_json(admin):
    assert json.loads(run("--broker-admin-url", admin, "queues", "--json").stdout) == {
        "queues": {"diag": QUEUE}
    }


def test_an_unknown_service_is_exit_code_1_and_no_broker_3(admin):
    assert run("queues", "nobody", "--url", admin).returncode == 1
    assert run("queues", "--url", "http://127.0.0.1:9").returncode == 3
