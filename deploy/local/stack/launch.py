"""Become one process of the stack: what circus runs for each of them.

The program's own pid is kept (exec), so circus signals and reaps the real process. Output goes straight to a log
file: through circus's pipes a busy access log would be read 1 KiB at a time, and block the process that writes it.
"""

import json
import os
import sys
import time
from pathlib import Path

from . import postgres, procs, specs

BACKOFF_WINDOW_S = 60
BACKOFF_FREE_STARTS = 5
BACKOFF_STEP_S = 0.5
BACKOFF_MAX_S = 10


def backoff_s(starts):
    """How long to wait before a start, given how many there were within the window.

    A process that is killed now and then comes back at once; one that cannot start does not burn a core.
    """
    extra = max(0, starts - BACKOFF_FREE_STARTS)
    return min(BACKOFF_MAX_S, BACKOFF_STEP_S * 2 ** min(extra, 8)) if extra else 0


def count_start(path, now):
    """Record a start and return how many there were within the window before it."""
    try:
        times = [float(line) for line in path.read_text().split()]
    except (OSError, ValueError):
        times = []
    times = [when for when in times if now - BACKOFF_WINDOW_S < when <= now]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(str(when) for when in [*times, now][-32:]))
    return len(times)


def main(name, instance):
    """Replace this process by process `name`, number `instance` counted from 1."""
    var = Path(os.environ[procs.MARK])
    plan = json.loads((var / "run" / "plan.json").read_text())
    spec = specs.Spec(**plan["processes"][name])
    label = f"{name}-{instance}" if spec.many else name

    log = os.open(var / "log" / f"{label}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)

    delay = backoff_s(count_start(var / "run" / "starts" / label, time.time()))
    if delay:
        print(
            f"stack: {label} started often within a minute: waiting {delay:g} s",
            file=sys.stderr,
            flush=True,
        )
        time.sleep(delay)
    if name == "postgres":
        postgres.remove_stale_lock(Path(spec.cwd))
    os.chdir(spec.cwd)
    # A secret in the operator's own environment is for those whose specification names it.
    inherited = {key: text for key, text in os.environ.items() if key not in plan["withheld"]}
    environment = {**inherited, **spec.environment(instance), procs.PROCESS: label}
    os.execvpe(spec.argv[0], spec.argv, environment)
