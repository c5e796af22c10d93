"""Fill a new shop through the HTTP API, as an operator does it (deploy/local/seed/)."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request

from . import StackError, keys, probe
from .settings import ROOT

SEED = ROOT / "deploy" / "local" / "seed"
ANSWER_TIMEOUT_S = 60
PAUSE_S = 0.2


def run_soukctl(settings, key, *arguments, **options):
    """Run soukctl against this stack; options are those of subprocess.run."""
    environment = {**os.environ, **keys.operator_settings(settings, key)}
    argv = [str(settings.bin / "soukctl"), *map(str, arguments)]
    return subprocess.run(argv, env=environment, check=False, stdin=subprocess.DEVNULL, **options)


def rows(name):
    """The rows of a file of the seed."""
    return [json.loads(line) for line in (SEED / f"{name}.jsonl").read_text().splitlines()]


def import_file(settings, key, kind):
    """Import a file of the seed; again when some of it failed, for a bounded time: one worker may not yet know of the
    categories that another one has just made."""
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    words = ("import", kind, SEED / f"{kind}.jsonl")
    while (done := run_soukctl(settings, key, *words, capture_output=True, text=True)).returncode:
        if time.monotonic() > deadline:
            raise StackError(f"soukctl import {kind} failed: {done.stderr[-2000:].strip()}")
        time.sleep(PAUSE_S)


class Shop:
    """The HTTP API with the first key."""

    def __init__(self, settings, key):
        self.url, self.key = settings.gateway_url, key

    def call(self, path, body=None, **headers):
        """(status, answer) of a GET, or of a POST when there is a body."""
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.key}",
                "Content-Type": "application/json",
                **headers,
            },
        )
        try:
            with probe.OPENER.open(request, timeout=30) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(errors="replace")

    def ask(self, path, body=None, good=(200,), **headers):
        """The answer, asked for until it is a good one, for a bounded time: each process may be ready before all have
        found each other, and a service may not yet have heard of what another one just got."""
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while True:
            try:
                status, answer = self.call(path, body, **headers)
            except OSError as error:
                status, answer = 0, error
            if status in good:
                return answer
            if time.monotonic() > deadline:
                raise StackError(f"{path}: {status} {answer}")
            time.sleep(PAUSE_S)

    def has_no_catalogue(self):
        """Whether there are neither products nor categories."""
        return not any(
            self.ask(path)["data"] for path in ("/v1/products?limit=1", "/v1/categories")
        )

    def create(self, name):
        """Create the rows of a file; what is there already stays as it is."""
        for row in rows(name):
            self.ask(f"/v1/admin/{name.replace('_', '-')}", row, good=(201, 409))

    def stock(self):
        """Take in the first stock, unless there has been some before."""
        items = rows("stock")
        ledger = self.ask(f"/v1/admin/stock/{items[0]['sku']}/ledger?limit=1")
        if not ledger["data"]:
            body = {"items": items, "note": "Opening stock"}
            self.ask("/v1/admin/stock/receive", body, **{"Idempotency-Key": "opening-stock"})


def seed(settings, key, say):
    """Fill an empty shop. A filling that was cut short is begun again: it repeats harmlessly."""
    shop = Shop(settings, key)
    unfinished = settings.var / "seeding"
    if unfinished.exists() or shop.has_no_catalogue():
        unfinished.touch()
        say("seeding the catalogue")
        for kind in ("categories", "products"):
            import_file(settings, key, kind)
        unfinished.unlink()
    unfinished = settings.var / "seeding-shop"
    if settings["SOUK_ORDERS_PROCESSES"] and (unfinished.exists() or is_new(shop)):
        unfinished.touch()
        say("seeding stock, shipping methods, tax rates and a discount code")
        shop.stock()
        for name in ("tax_rates", "discount_codes", "shipping_methods"):
            shop.create(name)
        unfinished.unlink()


def is_new(shop):
    """Whether nothing says how orders are shipped, and the catalogue is the seed's."""
    if shop.ask("/v1/admin/shipping-methods")["data"]:
        return False
    status, _ = shop.call(f"/v1/products/{rows('products')[0]['slug']}")
    return status == 200
