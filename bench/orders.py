"""How fast are orders placed through HTTP, as a ratio to pgbench on the same PostgreSQL in the same run?

pgbench runs an order of four statements in a transaction (stock, order, line, outbox), prepared. Ours is POST /v1/orders: gateway,
broker, one orders worker, idempotency key, totals, limit of unpaid orders, outbox, and the reply stored for repeats. Each at the
concurrency that suits it best; both durable: fsync and synchronous_commit are on. Uniform: 1,000 SKUs; hot: one.
docs/performance.md keeps results.

How long a commit waits for the disk decides much: SYNC_US makes each wait longer by so many microseconds, for both.

    make bench-orders
    SYNC_US=1000 make bench-orders
    ROUNDS=9 DURATION_S=10 make bench-orders
"""

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import uuid
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "deploy" / "local")]
os.environ.setdefault("SOUK_TEST_PRESET", "release")

from stack import postgres  # noqa: E402
from support.shop import SHIPPING, Shop  # noqa: E402
from support.stack import Servers, Stack  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "5"))
DURATION_S = int(os.environ.get("DURATION_S", "3"))
SYNC_US = int(os.environ.get("SYNC_US", "0"))
CONNECTIONS = (64, 256, 1024)  # ours, and pgbench's; the best one of each counts
CLIENTS = (1, 4, 8, 16, 32)
CHOICE_S = 2  # of a run that looks for it
AIMS = {"uniform": 4.0, "hot": 10.0}
SKUS, UNITS, RECEIPTS = 1000, 1_000_000, 10  # units of each SKU in a receipt
# So many that at 20,000 orders a second no guest comes to its limit of 20 unpaid orders.
GUESTS = 1000 * len(AIMS) * (len(CONNECTIONS) * CHOICE_S + ROUNDS * DURATION_S)
SETTINGS = {
    "SOUK_GATEWAY_RATE_PER_ADDRESS": "0",
    "SOUK_GATEWAY_RATE_PER_KEY": "0",
    "SOUK_GATEWAY_ACCESS_LOG_SAMPLE": "0",
    "SOUK_GATEWAY_CONNECTIONS_PER_ADDRESS": "0",
    "SOUK_ORDERS_NETWORK_UNPAID_MAX": "0",  # all guests come from one address
}
TABLES = """
CREATE TABLE skus (sku text PRIMARY KEY, on_hand bigint NOT NULL, reserved bigint NOT NULL DEFAULT 0,
    CHECK (reserved BETWEEN 0 AND on_hand)) WITH (fillfactor = 70);
INSERT INTO skus SELECT 'BENCH-' || n, 1000000000 FROM generate_series(1, 1000) n;
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL, status text NOT NULL,
    total bigint NOT NULL, address jsonb NOT NULL, placed_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE order_lines (order_id bigint, line int, sku text NOT NULL, quantity int NOT NULL, price bigint NOT NULL,
    PRIMARY KEY (order_id, line));
CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, type text NOT NULL, payload jsonb NOT NULL);
VACUUM ANALYZE;
"""
SCRIPT = """
\\set n random(1, {skus})
BEGIN;
UPDATE skus SET reserved = reserved + 1 WHERE sku = 'BENCH-' || :n AND on_hand - reserved >= 1;
INSERT INTO orders (email, status, total, address) VALUES ('jo@example.com', 'placed', 1500, '{{"city": "Ghent"}}') RETURNING id \\gset
INSERT INTO order_lines VALUES (:id, 1, 'BENCH-' || :n, 1, 1000);
INSERT INTO outbox (type, payload) VALUES ('order.placed', '{{"total": 1500}}');
COMMIT;
"""


class Rival:
    """pgbench on a database of its own."""

    def __init__(self, servers, folder):
        self.url = postgres.with_database(servers.database_url, "pgbench")
        self.folder = folder
        self.program = str(postgres.bin_dir() / "pgbench")
        psql = [str(postgres.bin_dir() / "psql"), "-qX", "-v", "ON_ERROR_STOP=1"]
        subprocess.run([*psql, "-c", "CREATE DATABASE pgbench", servers.database_url], check=True)
        subprocess.run([*psql, self.url], input=TABLES, text=True, check=True)
        for kind, skus in (("uniform", SKUS), ("hot", 1)):
            (folder / f"{kind}.sql").write_text(SCRIPT.format(skus=skus))

    def rate(self, kind, clients, seconds):
        argv = [self.program, "-n", "-M", "prepared", "-c", str(clients), "-j", "1"]
        argv += ["-T", str(seconds), "-f", str(self.folder / f"{kind}.sql"), self.url]
        said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
        return float(re.search(r"tps = ([\d.]+)", said)[1])


class Ours:
    """POST /v1/orders under wrk."""

    def __init__(self, stack):
        self.stack = stack
        self.shop = Shop(stack, {"BENCH-1": UNITS})
        for _ in range(RECEIPTS - 1):
            self.shop.admin("POST", "/v1/admin/stock/BENCH-1/receive", {"quantity": UNITS})
        self.copy_skus()
        self.tokens = self.guests()
        self.asked = 0  # requests so far: the next run goes on with the next guest
        body = self.shop.order({"SKU": 1})
        self.body = json.dumps(body, separators=(",", ":"))

    def copy_skus(self):
        """The first SKU a thousand times: the same shop, wider."""
        sql = """
            INSERT INTO skus SELECT (jsonb_populate_record(skus, jsonb_build_object('sku', 'BENCH-' || n))).*
            FROM skus, generate_series(2, %s) n WHERE sku = 'BENCH-1';
        """
        ledger = """
            INSERT INTO stock_ledger (sku, delta, reason, actor) SELECT sku, on_hand, 'receive', 'bench' FROM skus WHERE sku <> 'BENCH-1'
        """
        with self.stack.connect("orders") as connection:
            connection.execute(sql, [SKUS])
            connection.execute(ledger)

    def guests(self):
        """Their tokens, asked for in bursts over one connection."""
        burst = 100
        ask = f"POST /v1/guests HTTP/1.1\r\nHost: {self.stack.url[7:]}\r\nContent-Length: 0\r\n\r\n"
        host, port = self.stack.url[7:].split(":")
        tokens = []
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            while len(tokens) < GUESTS:
                connection.sendall(ask.encode() * burst)
                said, found = b"", []
                while len(found) < burst:
                    more = connection.recv(1 << 16)
                    assert more, said
                    said += more
                    found = re.findall(rb'"guest_token":"([^"]+)"', said)
                tokens += [token.decode() for token in found]
        return tokens

    def run(self, kind, connections, seconds):
        file = self.stack.folder / "orders.txt"
        mark = uuid.uuid4().hex[:12] + "-"
        file.write_text(
            "\n".join([mark, kind, self.body, str(SKUS), str(self.asked), *self.tokens]) + "\n"
        )
        argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "20s"]
        argv += ["-s", str(ROOT / "bench" / "orders.lua"), self.stack.url]
        said = subprocess.run(
            argv,
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "ORDERS_FILE": str(file)},
        ).stdout
        if "Non-2xx" in said or "Socket errors" in said:
            raise SystemExit(f"bench: not every order was placed:\n{said}")
        self.asked += int(re.search(r"(\d+) requests in", said)[1]) + connections
        latency = {mark: re.search(rf"\s{mark}%\s+(\S+)", said)[1] for mark in (50, 99)}
        return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]), **latency}

    def check(self):
        """Nothing that was placed is out of balance."""
        with self.stack.connect("orders") as connection:
            wrong = connection.execute("SELECT count(*) FROM stock_imbalances").fetchone()[0]
            placed = connection.execute(
                "SELECT count(*), sum(shipping_total) FROM orders"
            ).fetchone()
        assert wrong == 0 and placed[1] == placed[0] * SHIPPING, (wrong, placed)
        return placed[0]


def best(rate, choices):
    """The concurrency that it likes best."""
    return max(choices, key=lambda choice: rate(choice, CHOICE_S))


def measure(ours, rival):
    """kind -> ((our concurrency, our runs), (pgbench's, its rates)), taken in turn."""
    found = {}
    for kind in AIMS:
        clients = best(partial(rival.rate, kind), CLIENTS)
        connections = best(lambda *how, kind=kind: ours.run(kind, *how)["rate"], CONNECTIONS)
        runs, rates = [], []
        turn = [
            (runs, partial(ours.run, kind, connections)),
            (rates, partial(rival.rate, kind, clients)),
        ]
        for number in range(ROUNDS):
            for results, step in turn if number % 2 else reversed(turn):
                results.append(step(DURATION_S))
        found[kind] = ((connections, runs), (clients, rates))
    return found


def slow_sync(folder):
    """Environment of a PostgreSQL whose waits for the disk are longer; the library in a folder that its user can read."""
    if SYNC_US == 0:
        return {}
    built = ROOT / "build" / os.environ["SOUK_TEST_PRESET"] / "bench" / "libsouk-bench-slow-sync.so"
    library = shutil.copy(built, folder)
    folder.chmod(0o755)
    return {"LD_PRELOAD": str(library), "SLOW_SYNC_US": str(SYNC_US)}


def sync_us(servers):
    """A wait for the disk without that, in microseconds: pg_test_fsync, an 8 kB write, as PostgreSQL does by default."""
    argv = [
        str(postgres.bin_dir() / "pg_test_fsync"),
        "-s",
        "1",
        "-f",
        str(servers.folder / "sync"),
    ]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return int(re.search(r"fdatasync\s+[\d.]+ ops/sec\s+(\d+) usecs/op", said)[1])


def report(found, placed, disk_us):
    print(
        f"{ROUNDS} rounds of {DURATION_S} s, medians; {placed} orders placed, all in balance; a write is on disk after {disk_us} + {SYNC_US} us"
    )
    print(
        f"{'':<8} {'orders/s':>9} {'range':>13} {'connections':>11} {'p50':>9} {'p99':>9} {'pgbench':>8} {'clients':>7} {'ratio':>6} {'aim':>5}"
    )
    met = True
    for kind, ((connections, runs), (clients, rates)) in found.items():
        ordered = sorted(run["rate"] for run in runs)
        middle, base = statistics.median(ordered), statistics.median(rates)
        nearest = min(runs, key=lambda run: abs(run["rate"] - middle))
        met = met and middle / base >= AIMS[kind]
        print(
            f"{kind:<8} {middle:>9.0f} {f'{ordered[0]:.0f}-{ordered[-1]:.0f}':>13} {connections:>11} {nearest[50]:>9} {nearest[99]:>9} "
            f"{base:>8.0f} {clients:>7} {middle / base:>6.2f} {AIMS[kind]:>5}"
        )
    print("every aim is met" if met else "an aim is missed")


def main():
    with (
        tempfile.TemporaryDirectory() as folder,
        Servers(durable=True, env=slow_sync(Path(folder))) as servers,
        Stack(servers, catalog=1, diag=0, orders=1, env=SETTINGS) as stack,
    ):
        rival = Rival(servers, stack.folder)
        ours = Ours(stack)
        found = measure(ours, rival)
        report(found, ours.check(), sync_us(servers))


if __name__ == "__main__":
    main()
