"""How fast are orders placed through HTTP, as a ratio to pgbench on the same PostgreSQL in the same run?

pgbench runs an order of four statements in a transaction (stock, order, line, outbox), prepared, at the concurrency that suits it
best. Ours is POST /v1/orders: gateway, broker, one orders worker, idempotency key, totals, events, outbox, and the reply stored for
repeats. Both durable: fsync and synchronous_commit are on. Uniform: 1,000 SKUs; hot: one. docs/performance.md keeps results.

    make bench-orders
    ROUNDS=9 DURATION_S=10 make bench-orders
"""

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "deploy" / "local")]
os.environ.setdefault("SOUK_TEST_PRESET", "release")

from stack import postgres  # noqa: E402
from support.shop import SHIPPING, Shop  # noqa: E402
from support.stack import Servers, Stack  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "5"))
DURATION_S = int(os.environ.get("DURATION_S", "3"))
CONNECTIONS = int(os.environ.get("CONNECTIONS", "256"))
CLIENTS = (1, 4, 8, 16, 32)  # pgbench's; the best one counts
SKUS, GUESTS, UNITS = 1000, 30_000, 1_000_000  # units of each SKU
AIMS = {"uniform": 4.0, "hot": 10.0}
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
        self.best = {}
        self.program = str(postgres.bin_dir() / "pgbench")
        psql = [str(postgres.bin_dir() / "psql"), "-qX", "-v", "ON_ERROR_STOP=1"]
        subprocess.run([*psql, "-c", "CREATE DATABASE pgbench", servers.database_url], check=True)
        subprocess.run([*psql, self.url], input=TABLES, text=True, check=True)
        for kind, skus in (("uniform", SKUS), ("hot", 1)):
            (folder / f"{kind}.sql").write_text(SCRIPT.format(skus=skus))

    def run(self, kind, clients, seconds):
        argv = [self.program, "-n", "-M", "prepared", "-c", str(clients), "-j", "1"]
        argv += ["-T", str(seconds), "-f", str(self.folder / f"{kind}.sql"), self.url]
        said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
        return float(re.search(r"tps = ([\d.]+)", said)[1])

    def choose(self):
        """The concurrency that each kind likes best."""
        for kind in AIMS:
            self.best[kind] = max(
                CLIENTS, key=lambda clients, kind=kind: self.run(kind, clients, 2)
            )


class Ours:
    """POST /v1/orders under wrk."""

    def __init__(self, stack):
        self.stack = stack
        self.shop = Shop(stack, {"BENCH-1": UNITS})
        self.copy_skus()
        self.tokens = self.guests()
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
        """Tokens of so many guests that none comes to its limit of unpaid orders; asked for in bursts, over one connection."""
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

    def run(self, kind, seconds):
        file = self.stack.folder / "orders.txt"
        mark = uuid.uuid4().hex[:12] + "-"
        file.write_text("\n".join([mark, kind, self.body, str(SKUS), *self.tokens]) + "\n")
        argv = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "--timeout", "20s"]
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


def measure(ours, rival):
    """kind -> (our runs, pgbench's rates), taken in turn."""
    found = {}
    for kind in AIMS:
        ours.run(kind, 2)  # warm
        found[kind] = ([], [])
        for number in range(ROUNDS):
            turn = [
                lambda kind=kind: found[kind][0].append(ours.run(kind, DURATION_S)),
                lambda kind=kind: found[kind][1].append(
                    rival.run(kind, rival.best[kind], DURATION_S)
                ),
            ]
            for step in turn if number % 2 else reversed(turn):
                step()
    return found


def report(found, rival, placed):
    print(
        f"{CONNECTIONS} connections, {ROUNDS} rounds of {DURATION_S} s, medians; {placed} orders placed, all in balance"
    )
    print(
        f"{'':<8} {'orders/s':>9} {'range':>13} {'p50':>9} {'p99':>9} {'pgbench':>8} {'clients':>7} {'ratio':>6} {'aim':>5}"
    )
    met = True
    for kind, (runs, rates) in found.items():
        ordered = sorted(run["rate"] for run in runs)
        middle, base = statistics.median(ordered), statistics.median(rates)
        nearest = min(runs, key=lambda run: abs(run["rate"] - middle))
        met = met and middle / base >= AIMS[kind]
        print(
            f"{kind:<8} {middle:>9.0f} {f'{ordered[0]:.0f}-{ordered[-1]:.0f}':>13} {nearest[50]:>9} {nearest[99]:>9} "
            f"{base:>8.0f} {rival.best[kind]:>7} {middle / base:>6.2f} {AIMS[kind]:>5}"
        )
    print("every aim is met" if met else "an aim is missed")


def main():
    with (
        Servers(durable=True) as servers,
        Stack(servers, catalog=1, diag=0, orders=1, env=SETTINGS) as stack,
    ):
        rival = Rival(servers, stack.folder)
        rival.choose()
        ours = Ours(stack)
        found = measure(ours, rival)
        report(found, rival, ours.check())


if __name__ == "__main__":
    main()
