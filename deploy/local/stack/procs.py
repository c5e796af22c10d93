"""Processes of this machine, seen through /proc: whose they are, who holds a port, how to end them.

A stack marks every process that it starts with SOUK_STACK=<its data folder> in the environment, which children
inherit. That mark, and never a name or a pid file alone, says whether a process is ours: so a stack that lost its
supervisor finds its orphans again, and nothing else is ever signalled.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

MARK = "SOUK_STACK"
PROCESS = "SOUK_PROCESS"  # beside the mark: which process of the stack it is


def is_alive(pid):
    """Whether the process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"


def started_at(pid):
    """Start time of a process in seconds since boot, or None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def uptime_s(pid):
    """Seconds that a process has run, or None when it is gone."""
    started = started_at(pid)
    if started is None:
        return None
    return float(Path("/proc/uptime").read_text().split()[0]) - started


def command_line(pid):
    """A process's command line for people, or its short name where the line may not be read."""
    try:
        line = (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
        return line.strip() or Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "?"


def environment(pid):
    """A process's initial environment; empty when it is gone or not ours to read."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.partition(b"=") for entry in raw.split(b"\0") if entry)
    return {os.fsdecode(key): os.fsdecode(value) for key, _, value in pairs}


def marked(stack_id):
    """The living processes that the stack with this data folder started: pid -> which one ("" is the supervisor).

    This process and its parents do not count.
    """
    family = set()
    pid = os.getpid()
    while pid > 0:
        family.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in family:
            continue
        variables = environment(int(entry))
        if variables.get(MARK) == str(stack_id) and is_alive(int(entry)):
            found[int(entry)] = variables.get(PROCESS, "")
    return found


def wait_gone(pids, timeout_s):
    """Wait until none of the processes is alive; returns those that still are."""
    deadline = time.monotonic() + timeout_s
    while True:
        left = [pid for pid in pids if is_alive(pid)]
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(0.05)


def send(pid, signum):
    """Signal a process that may be gone already."""
    with suppress(ProcessLookupError):
        os.kill(pid, signum)


def end(pids, timeout_s, signum=signal.SIGTERM):
    """Ask the processes to end, and kill what is left after the timeout."""
    for pid in pids:
        send(pid, signum)
    left = wait_gone(pids, timeout_s)
    for pid in left:
        send(pid, signal.SIGKILL)
    return wait_gone(left, 5)


def listener(port):
    """The pids that listen on a TCP port of this machine; None when nobody does, [] when it may not be seen."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    if not inodes:
        return None
    pids = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            descriptors = os.scandir(f"/proc/{entry}/fd")
        except OSError:
            continue
        with descriptors:
            for descriptor in descriptors:
                try:
                    if os.readlink(descriptor.path) in inodes:
                        pids.append(int(entry))
                        break
                except OSError:
                    continue
    return pids
