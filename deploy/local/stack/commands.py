"""What an operator of the local stack types: up, down, status, logs."""

import dataclasses
import fcntl
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

from . import StackError, keys, migrations, postgres, probe, procs, settings
from . import plan as plans
from .seed import seed
from .settings import ROOT
from .supervise import Supervisor

READY_TIMEOUT_S = 90
POLL_S = 0.1
# All that a stack puts into its data folder.
KEPT = (
    "seeding",
    "seeding-shop",
    "run",
    "log",
    "secrets",
    "postgres",
    "mongo",
    "snapshots",
    "keys.json",
)


def say(text):
    """Progress, for people."""
    print(f"souk: {text}", file=sys.stderr, flush=True)


@contextmanager
def exclusive(var):
    """One command at a time changes a stack; a second one waits for the first."""
    (var / "run").mkdir(parents=True, exist_ok=True)
    os.chmod(var / "run", 0o700)
    (var / "log").mkdir(exist_ok=True)
    with open(var / "run" / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another make up or make down is at work here: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(chosen):
    """Build our programs; nothing is done when nothing changed."""
    preset = chosen["SOUK_PRESET"]
    folder = ROOT / "build" / preset
    environment = {**os.environ, "SOUK_PYTHON": str(chosen.python)}
    steps = [["ninja", "-C", str(folder), *([] if sys.stderr.isatty() else ["--quiet"])]]
    if not (folder / "build.ninja").exists():
        say(f"building (preset {preset})")
        steps.insert(0, ["cmake", "--preset", preset])
    for step in steps:
        done = subprocess.run(
            step,
            cwd=ROOT,
            env=environment,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )
        if done.returncode != 0:
            raise StackError(f"the build failed: {' '.join(step)}")


def check_ports(plan, var):
    """Refuse to start over another program's port, and say whose it is."""
    ours = procs.marked(var)
    busy = []
    for port, label, variable in plan.ports():
        holders = procs.listener(port)
        if holders is None or any(pid in ours for pid in holders):
            continue
        who = ", ".join(f"process {pid} ({procs.command_line(pid)[:120]})" for pid in holders)
        busy.append(
            f"port {port} (for {label}) is in use by {who or 'a process of another user'}: "
            f"stop that, or choose another port with {variable}"
        )
    if busy:
        raise StackError(
            "\n  ".join(["cannot start:", *busy, "(settings go into the environment or into .env)"])
        )


def observe(plan, var):
    """(label, pid, what it lacks) of every process that runs or should: pid None, or lack None when it is ready.

    Which instances of a pool run is circus's choice: after it was made smaller, number 2 may be the one that is left.
    """
    running = {label: pid for pid, label in procs.marked(var).items()}
    for spec in plan.processes.values():
        instances = sorted(
            instance for instance in range(1, 100) if spec.label(instance) in running
        )
        for instance in instances if spec.many else instances[:1]:
            label = spec.label(instance)
            yield label, running[label], probe.ask(*spec.target(instance))
        for _ in range(spec.instances - len(instances)):
            yield spec.name, None, "not running"


def wait_ready(plan, var, timeout_s=READY_TIMEOUT_S):
    """Poll until every process is ready; on time-out the error says what each one still lacks."""
    deadline = time.monotonic() + timeout_s
    while True:
        lacking = [f"{label}: {lack}" for label, _, lack in observe(plan, var) if lack]
        if not lacking:
            return
        if time.monotonic() > deadline:
            raise StackError(
                "\n  ".join(["not ready in time:", *lacking, f"logs are in {var / 'log'}"])
            )
        time.sleep(POLL_S)


def apply(plan, supervisor, only=None):
    """Make circus run this plan, or some of its processes: start it, or hand a running one what changed. False: nothing did."""
    config = supervisor.ini(plan.processes, plans.PACKAGE, only)
    running = supervisor.pid() is not None
    if running and supervisor.config.exists() and supervisor.config.read_text() == config:
        return False
    plan.save(supervisor.plan)
    supervisor.config.write_text(config)
    if running:
        supervisor.reload(plan.processes.values())
    else:
        supervisor.start()
    return True


def prepare_databases(plan, supervisor):
    """Start PostgreSQL, then make and migrate what is in it: a program meets only a schema that it knows."""
    server = plan.processes.get("postgres")
    if server is not None:
        if supervisor.pid() is None:
            apply(plan, supervisor, only=["postgres"])
        elif "postgres" not in plans.Plan.read(supervisor.plan).processes:
            apply(plan, supervisor)
        wait_ready(dataclasses.replace(plan, processes={"postgres": server}), supervisor.var)
    for database in plan.databases:
        postgres.require_ferretdb_database(plan.database_url, database)
    if plan.passwords:
        migrations.prepare(plan.database_url, migrations.DATABASE, plan.passwords, say)


def up(arguments):
    """Build, start what does not run, wait until all is ready, seed an empty catalogue, say where things are."""
    del arguments
    chosen = settings.load()
    with exclusive(chosen.var):
        supervisor = Supervisor(chosen.var)
        was_up = supervisor.pid() is not None
        if not was_up:
            orphans = supervisor.end_orphans()
            if orphans:
                say(f"ended {orphans} processes that outlived their supervisor")
        build(chosen)
        plan = plans.make(chosen, say)
        check_ports(plan, chosen.var)
        key = keys.require_admin_key(chosen)
        urls = {name: url for name, url in plan.secrets.items() if name.endswith("_DATABASE_URL")}
        keys.write_operator_file(chosen, key, urls)
        prepare_databases(plan, supervisor)
        if apply(plan, supervisor) and was_up:
            say("restarted what changed")
        wait_ready(plan, chosen.var)
        seed(chosen, key, say)
    report(chosen)
    return 0


def report(chosen):
    """The last lines of `make up`."""
    url = chosen.gateway_url
    print(f"Souk is up: {url}")
    print(f"  try            curl {url}/v1/products?q=lamp")
    print(f"  API reference  {url}/docs")
    print(f"  admin API key  {chosen.admin_key_file}")
    print(f"  soukctl        . {chosen.operator_file} tells it all it needs")
    print(f"  logs           {chosen.var / 'log'} (make logs), processes: make status", flush=True)


def down(arguments):
    """Stop everything, gateway first; leaves no process."""
    del arguments
    chosen = settings.load()
    with exclusive(chosen.var):
        supervisor = Supervisor(chosen.var)
        was_up = supervisor.pid() is not None or procs.marked(chosen.var)
        supervisor.stop(list(reversed(plans.Plan.read(supervisor.plan).processes)))
    print("Souk is down" if was_up else "Souk was not up")
    return 0


def clean(arguments):
    """Stop, then remove what this stack keeps in its data folder; anything else in there stays."""
    down(arguments)
    chosen = settings.load()
    with suppress(StackError):
        shutil.rmtree(postgres.choose_dir(chosen.var / "postgres"), ignore_errors=True)
    for name in KEPT:
        path = chosen.var / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    with suppress(OSError):
        chosen.var.rmdir()
    return 0


def status(arguments):
    """One line for each process: pid, uptime, health. Exit code 1 when something is missing or not ready."""
    del arguments
    chosen = settings.load()
    supervisor = Supervisor(chosen.var)
    plan = plans.Plan.read(supervisor.plan)
    circusd = supervisor.pid()
    if circusd is None:
        left = procs.marked(chosen.var)
        print(
            f"Souk is not up ({len(left)} processes left of it: make up or make down)"
            if left
            else "Souk is not up"
        )
        return 1
    rows = [("circusd", circusd, None), *observe(plan, chosen.var)]
    print(f"{'process':<12} {'pid':>8} {'up':>10}  health")
    for label, pid, lack in rows:
        up_for = duration(procs.uptime_s(pid) if pid else None)
        print(f"{label:<12} {pid or '-':>8} {up_for:>10}  {lack or 'ready'}")
    return 1 if any(lack for _, _, lack in rows) else 0


def duration(seconds):
    """Seconds as 1d 02h, 2h 03m, 4m 05s or 6s."""
    if seconds is None:
        return "-"
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours:02}h"
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {left:02}s" if minutes else f"{left}s"


def logs(arguments):
    """Follow the logs; an argument chooses processes by the start of their names."""
    chosen = settings.load()
    wanted = arguments or [""]
    files = [
        path
        for path in sorted((chosen.var / "log").glob("*.log"))
        if any(map(path.name.startswith, wanted))
    ]
    if not files:
        raise StackError(f"no such log in {chosen.var / 'log'}")
    os.execvp("tail", ["tail", "-n", "20", "-F", *map(str, files)])


COMMANDS = {"up": up, "down": down, "clean": clean, "status": status, "logs": logs}


def run(command, arguments):
    """Run one command by its name; expected failures become one message and exit code 1."""
    if command not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return COMMANDS[command](arguments)
    except StackError as error:
        say(error)
        return 1
