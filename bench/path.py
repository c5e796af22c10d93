"""How fast is the whole path (gateway, broker, worker and back), as a ratio to nginx in the same run?

Starts a private release stack, loads it and an nginx that answers the same bytes with wrk in turn, and prints medians,
ranges, ratios and the CPU time of each request. Absolute rates belong to one machine and one hour: only the
ratios and the CPU times travel. docs/performance.md keeps results.

    make bench-path                      five rounds of three seconds
    ROUNDS=9 DURATION_S=10 make bench-path
"""

import json
import os
import re
import statistics
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "deploy" / "local")]
os.environ.setdefault("SOUK_TEST_PRESET", "release")

from stack import probe  # noqa: E402
from support.ports import PORTS  # noqa: E402
from support.stack import Servers, Stack, wait_for, with_death_signal  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "5"))
DURATION_S = int(os.environ.get("DURATION_S", "3"))
CONNECTIONS = 64
AIM_FIXED, AIM_PRODUCT = 0.45, 0.35
PRODUCTS = 500
SETTINGS = {
    "SOUK_GATEWAY_RATE_PER_ADDRESS": "0",
    "SOUK_GATEWAY_ACCESS_LOG_SAMPLE": "0",
}  # as nginx is set here
TICKS_S = os.sysconf("SC_CLK_TCK")


def get(url, headers=None):
    request = urllib.request.Request(url, headers=headers or {})
    with probe.OPENER.open(request, timeout=10) as reply:
        return reply.read()


def cpu_s(pids):
    """CPU time that the processes have used."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS_S


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def nginx(folder, body):
    """One nginx worker that answers every request with this body from memory; yields (URL, pids)."""
    (port,) = PORTS.take(1)
    (folder / "body.conf").write_text(
        "return 200 '" + body.decode().replace("\\", "\\\\").replace("'", "\\'") + "';"
    )
    (folder / "nginx.conf").write_text(f"""
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    default_type application/json;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    server {{ listen 127.0.0.1:{port}; location / {{ include {folder}/body.conf; }} }}
}}
""")
    argv = ["/usr/sbin/nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with open(folder / "nginx.log", "ab") as log:
        server = subprocess.Popen(
            with_death_signal(argv), stdout=log, stderr=log, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}/"
        wait_for(lambda: probe.http(url) is None, 10, "nginx answers")
        yield url, children(server.pid)
    finally:
        server.terminate()
        server.wait(10)


def load(url, pids):
    """One wrk run: requests a second, latencies, CPU microseconds of the servers for each request."""
    before = cpu_s(pids)
    argv = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{DURATION_S}s", "--latency", url]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    used = cpu_s(pids) - before
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"bench: {url} did not answer every request well:\n{said}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    done = int(re.search(r"(\d+) requests in", said)[1])
    latency = {mark: re.search(rf"\s{mark}%\s+(\S+)", said)[1] for mark in (50, 99)}
    return {"rate": rate, "cpu_us": used / done * 1e6, "p50": latency[50], "p99": latency[99]}


def scenarios(stack):
    """(name, URL, aim) of what is measured; the aim is the lowest ratio to nginx that is wanted."""
    listed = json.loads(get(f"{stack.url}/v1/products?limit=1"))["data"]
    product = listed[0]["id"]
    return [
        ("fixed reply, inline", f"{stack.url}/v1/diag/fixed", AIM_FIXED),
        ("fixed reply, slot", f"{stack.url}/v1/diag/fixed-slot", None),
        ("product read", f"{stack.url}/v1/products/{product}", AIM_PRODUCT),
        ("product list, 20", f"{stack.url}/v1/products?limit=20", None),
        ("search", f"{stack.url}/v1/products?q=lamp&limit=20", None),
    ]


def fill(stack):
    """A catalogue of generated products, through the front door."""
    products = stack.folder / "products.jsonl"
    soukctl = str(stack.program("soukctl"))
    with open(products, "wb") as file:
        generate = [soukctl, "generate", "products", "--count", str(PRODUCTS), "--seed", "1"]
        subprocess.run(generate, check=True, stdout=file)
    seed = (
        ROOT / "deploy" / "local" / "seed" / "categories.jsonl"
    )  # the generated products name these
    stack.soukctl("import", "categories", str(seed))
    stack.soukctl("import", "products", str(products))
    count = lambda: len(json.loads(get(f"{stack.url}/v1/products?limit=1"))["data"])  # noqa: E731
    wait_for(count, 30, "the catalogue is served")


def measure(stack):
    """Every scenario and nginx in turn, in every round in another order; name -> list of runs."""
    body = get(f"{stack.url}/v1/diag/fixed")
    ours = [process.pid for process in stack.processes.values()]
    with nginx(stack.folder, body) as (nginx_url, nginx_pids):
        todo = [("nginx", nginx_url, nginx_pids)]
        todo += [(name, url, ours) for name, url, _ in scenarios(stack)]
        runs = {name: [] for name, _, _ in todo}
        for url in (url for _, url, _ in todo):
            subprocess.run(
                ["wrk", "-t1", f"-c{CONNECTIONS}", "-d1s", url], check=True, capture_output=True
            )
        for round_number in range(ROUNDS):
            shift = round_number % len(todo)
            for name, url, pids in todo[shift:] + todo[:shift]:
                runs[name].append(load(url, pids))
    return runs, len(body)


def report(runs, body_bytes, aims):
    """Print the table; returns whether every aim was met."""
    base = statistics.median(run["rate"] for run in runs["nginx"])
    print(
        f"{CONNECTIONS} connections, {ROUNDS} rounds of {DURATION_S} s, fixed reply of {body_bytes} bytes; medians"
    )
    print(
        f"{'':<20} {'requests/s':>10} {'range':>15} {'x nginx':>8} {'aim':>5} {'CPU us':>7} {'p50':>8} {'p99':>8}"
    )
    met = True
    for name, found in runs.items():
        rates = sorted(run["rate"] for run in found)
        middle = min(found, key=lambda run: abs(run["rate"] - statistics.median(rates)))
        ratio = statistics.median(rates) / base
        aim = aims.get(name)
        met = met and (aim is None or ratio >= aim)
        print(
            f"{name:<20} {statistics.median(rates):>10.0f} {f'{rates[0]:.0f}-{rates[-1]:.0f}':>15} {ratio:>8.2f} "
            f"{aim or '':>5} {middle['cpu_us']:>7.1f} {middle['p50']:>8} {middle['p99']:>8}"
        )
    return met


def main():
    with Servers() as servers, Stack(servers, catalog=1, diag=1, env=SETTINGS) as stack:
        fill(stack)
        aims = {name: aim for name, _, aim in scenarios(stack)}
        runs, body_bytes = measure(stack)
    met = report(runs, body_bytes, aims)
    print("every aim is met" if met else "an aim is missed")


if __name__ == "__main__":
    main()
