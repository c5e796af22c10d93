"""Fill an empty catalogue through the HTTP API, as an operator's import does it (deploy/local/seed/)."""

import json
import os
import subprocess
import time
import urllib.error

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


def ask(url):
    """The JSON at url. Each process may be ready before all have found each other: an error is asked again, for a bounded time."""
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while True:
        try:
            with probe.OPENER.open(url, timeout=10) as reply:
                return json.load(reply)
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise StackError(f"{url}: {error}") from error
        time.sleep(PAUSE_S)


def is_empty(settings):
    """Whether the catalogue has neither products nor categories."""
    paths = ("/v1/products?limit=1", "/v1/categories")
    return not any(ask(settings.gateway_url + path)["data"] for path in paths)


def seed(settings, key, say):
    """Import the seed into an empty catalogue. An import that was cut short is run again: it repeats harmlessly."""
    unfinished = settings.var / "seeding"
    if not unfinished.exists() and not is_empty(settings):
        return
    unfinished.touch()
    say("seeding the catalogue")
    for kind in ("categories", "products"):
        if run_soukctl(settings, key, "import", kind, SEED / f"{kind}.jsonl").returncode != 0:
            raise StackError(f"soukctl import {kind} failed: see above")
    unfinished.unlink()
