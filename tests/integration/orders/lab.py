"""Real orders workers on a real database; the tests play the broker, so that they decide what meets in a batch."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgpack
from calls import unique
from support.stack import ROOT, clean_environment, wait_for

sys.path.append(str(ROOT / "tests" / "component" / "worker"))
from scripted import BATCH, ERR, REP, SLOT, Broker, decoded

BUILD = Path(
    os.environ.get("SOUK_BUILD_DIR", ROOT / "build" / os.environ.get("SOUK_TEST_PRESET", "dev"))
)
ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "12 St James's Square",
    "city": "London",
    "country": "GB",
}
KEYED = 1
REPLAYED = 1


class Answer:
    """A reply or an error, and whether it was stored before."""

    def __init__(self, envelope):
        kind, self.body = decoded(envelope)
        assert kind in (REP, ERR), envelope
        self.ok = kind == REP
        self.code = None if self.ok else self.body["code"]
        self.replayed = self.ok and bool(envelope[3] & REPLAYED)

    def __repr__(self):
        return f"<{'ok' if self.ok else self.code} {self.body}>"

    @property
    def fields(self):
        """Of an error: {pointer: reason}."""
        return {each["pointer"]: each["reason"] for each in self.body.get("errors", [])}


class Worker(Broker):
    """One souk-worker that serves orders, and its broker."""

    def __init__(self, folder, name, env, slots):
        self.folder = folder
        super().__init__(f"ipc://{folder}/{name}")
        self.name, self.slots = name, slots
        self.env = {
            **clean_environment(),
            "SOUK_BROKER_BACK": self.endpoint,
            "SOUK_WORKER_SERVICES": "orders",
            "SOUK_WORKER_NAME": name,
            "SOUK_WORKER_SLOTS": str(slots),
            "SOUK_LOG_LEVEL": "debug",
            **env,
        }
        self.log_path = folder / f"{name}.log"
        self.process = None
        self.start()

    def start(self):
        with open(self.log_path, "ab") as log:
            argv = ["setpriv", "--pdeathsig=KILL", "--", str(BUILD / "bin" / "souk-worker")]
            self.process = subprocess.Popen(argv, env=self.env, stdout=log, stderr=log)
        self.inbox, self.windows = [], {}
        self.welcome()
        self.introduced(("orders", SLOT), ("orders", BATCH))
        self.wait(lambda: self.windows[("orders", SLOT)] == self.slots, "all slots")

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.close()
        for report in ("Sanitizer", "runtime error:", "assertion failed"):
            assert report not in self.log(), self.log()

    def metric(self, name):
        """A series as printed; 0 when it is not there."""
        port = next(
            json.loads(line)["admin_port"]
            for line in self.log().splitlines()
            if '"WK-START"' in line
        )
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
            for line in reply.read().decode().splitlines():
                if line.rsplit(" ", 1)[0] == name:
                    return float(line.rsplit(" ", 1)[1])
        return 0.0

    # ---- requests ----

    def put(self, method, body, subject, key=None, **more):
        """A REQ of this method as an array. Its hash is the body's, as the gateway makes it of the whole request."""
        scopes = more.pop("scopes", [])
        kind = "guest" if subject.startswith("gst_") else "user"
        principal = msgpack.packb({"sub": subject, "kind": kind, "scopes": scopes})
        request = self.request(
            "orders", method, body, timeout_ms=more.pop("timeout_ms", 10000), principal=principal
        )
        if "address" in more:
            request.append(more.pop("address"))
        if key is not None:
            request[6] = KEYED
            request[10] = key
            request[11] = hashlib.sha256(method.encode() + request[14]).digest()
        return request

    def together(self, *requests, timeout_s=30):
        """Sends them in one frame, so that they meet in batches; their answers, in order."""
        self.send(*requests)
        return [Answer(self.answer(each[2], timeout_s)) for each in requests]

    def one(self, method, body, subject, key=None, **more):
        return self.together(self.put(method, body, subject, key, **more))[0]


def order_body(items, total, **more):
    """A request of orders.place. items: (SKU, quantity)."""
    body = {
        "items": items and [{"sku": sku, "quantity": quantity} for sku, quantity in items],
        "email": "ada@example.com",
        "shipping_address": ADDRESS,
        "shipping_method": "standard",
        "expected_total": {"amount": total, "currency": "EUR"},
        "payment_method": "manual",
        **more,
    }
    return {name: value for name, value in body.items() if value is not None}


def at_once(run, workers):
    """run(worker) for all of them at the same time; what each returned."""
    with ThreadPoolExecutor(len(workers)) as pool:
        return list(pool.map(run, workers))


class Lab:
    """A database and as many workers as a test wants."""

    def __init__(self, server, connect):
        self.server, self.connect = server, connect
        self.folder = Path(tempfile.mkdtemp(prefix="souk-"))
        self.db = connect()
        self.url = server.service_url("orders", self.db.info.dbname)
        self.workers = []
        self.db.execute(
            "INSERT INTO shipping_methods (id, name, price) VALUES ('standard', 'Standard', 0)"
        )

    def worker(self, slots=1, **env):
        env = {name: str(value) for name, value in env.items()}
        env["SOUK_ORDERS_DATABASE_URL"] = self.url
        self.workers.append(Worker(self.folder, f"w-{len(self.workers) + 1}", env, slots))
        return self.workers[-1]

    def close(self):
        for each in self.workers:
            each.stop()

    def cart(self, subject, items, **columns):
        """A cart of this subject; its id."""
        cart = unique("cart_")
        columns = {"id": cart, "subject": subject, **columns}
        names = ", ".join(columns)
        places = ", ".join(["%s"] * len(columns))
        self.db.execute(
            f"INSERT INTO carts ({names}, expires_at) VALUES ({places}, now() + interval '1 day')",
            list(columns.values()),
        )
        for sku, quantity in items:
            self.db.execute(
                "INSERT INTO cart_lines (cart_id, sku, quantity) VALUES (%s, %s, %s)",
                (cart, sku, quantity),
            )
        return cart

    def count(self, sql, *values):
        return self.db.execute(f"SELECT count(*) FROM {sql}", values).fetchone()[0]

    def wait(self, question, what):
        return wait_for(question, 30, what)
