"""circus, and what `make up` needs of it: start it, hand it a changed plan, stop it in order, survive its death.

circus restarts what dies; the rest is here, because circus stops everything at once (a gateway should drain while
there are still workers to answer it) and knows nothing of the processes that a killed circusd left behind.
"""

import configparser
import io
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from . import StackError, procs

CHECK_DELAY_S = 0.5
QUIT_TIMEOUT_S = 20


class Supervisor:
    """The circusd of one data folder. Its sockets are below var/run, reached by a relative path: long paths do not
    fit into a socket's address, and the folder's rights keep other users out."""

    def __init__(self, var):
        self.var = Path(var)
        self.run_dir = self.var / "run"
        self.config = self.run_dir / "circus.ini"
        self.plan = self.run_dir / "plan.json"
        self.log = self.var / "log" / "circusd.log"
        self.pid_file = self.run_dir / "circusd.pid"

    def pid(self):
        """The pid of the living circusd of this data folder, or None."""
        try:
            pid = int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None
        ours = procs.environment(pid).get(procs.MARK) == str(self.var)
        return pid if ours and procs.is_alive(pid) else None

    def ini(self, plan, package_dir, only=None):
        """circus's configuration for the plan, or for some of its processes. A process whose digest changes is restarted,
        others are left alone."""
        config = configparser.RawConfigParser()
        config["circus"] = {
            "endpoint": "ipc://circus.control",
            "pubsub_endpoint": "ipc://circus.events",
            "multicast_endpoint": "",
            "check_delay": CHECK_DELAY_S,
            "statsd": "false",
            "loglevel": "INFO",
        }
        for rank, spec in enumerate(plan.values()):
            if only is not None and spec.name not in only:
                continue
            launch = [sys.executable, "-m", package_dir.name, "launch", spec.name]
            config[f"watcher:{spec.name}"] = {
                "cmd": " ".join(shlex.quote(word) for word in launch)
                + f" $(circus.wid) {spec.digest()}",
                "working_dir": package_dir.parent,
                "numprocesses": spec.instances,
                "priority": len(plan) - rank,
                "copy_env": "true",
                "max_retry": -1,
                "stop_signal": spec.stop_signal,
                "graceful_timeout": spec.stop_timeout_s,
            }
        text = io.StringIO()
        config.write(text)
        return text.getvalue()

    def start(self):
        """Start circusd in the background, in a session of its own."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, procs.MARK: str(self.var)}
        environment.pop(procs.PROCESS, None)
        with open(self.log, "ab") as log:
            daemon = subprocess.Popen(
                [sys.executable, "-m", "circus.circusd", str(self.config)],
                cwd=self.run_dir,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid_file.write_text(f"{daemon.pid}\n")
        self.wait_answers(daemon)

    def wait_answers(self, daemon, timeout_s=15):
        """Wait until circusd takes commands."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if daemon.poll() is not None:
                raise StackError(f"circusd ended with status {daemon.returncode}: see {self.log}")
            if self.call("numwatchers", timeout_s=1) is not None:
                return
        raise StackError(f"circusd does not answer: see {self.log}")

    def call(self, command, timeout_s=60, **properties):
        """One command to circusd; None when it does not answer in time. A command that collides with circus's own
        check of the processes is refused at once and asked again."""
        from circus.client import CircusClient
        from circus.exc import CallError

        deadline = time.monotonic() + timeout_s
        before = os.getcwd()
        os.chdir(self.run_dir)
        try:
            while time.monotonic() < deadline:
                client = CircusClient(
                    endpoint="ipc://circus.control", timeout=max(0.1, deadline - time.monotonic())
                )
                try:
                    reply = client.send_message(command, **properties)
                except CallError:
                    return None
                finally:
                    client.stop()
                if reply.get("status") == "ok":
                    return reply
                if "already running" not in reply.get("reason", ""):
                    raise StackError(
                        f"circusd refuses {command}: {reply.get('reason')}: see {self.log}"
                    )
                time.sleep(0.1)
        finally:
            os.chdir(before)
        return None

    def reload(self, specs):
        """Hand a changed plan to the running circusd and wait until it is carried out."""
        if self.call("reloadconfig", waiting=True, timeout_s=120) is None:
            raise StackError(f"circusd did not take the new configuration: see {self.log}")
        # circus compares counts with the file that it first read, not with the last one: so they are set, too.
        for spec in specs:
            if spec.many:
                self.call(
                    "set", name=spec.name, options={"numprocesses": spec.instances}, waiting=True
                )

    def stop(self, names):
        """Stop the processes in this order, then circusd; what is left of the stack afterwards is ended too."""
        pid = self.pid()
        if pid is not None:
            for name in names:
                try:
                    self.call("stop", name=name, waiting=True)
                except StackError:
                    continue  # circus does not know it: an older plan; the quit below ends all
            self.call("quit", timeout_s=5)
            procs.end(procs.wait_gone([pid], QUIT_TIMEOUT_S), QUIT_TIMEOUT_S)
        self.end_orphans()
        self.pid_file.unlink(missing_ok=True)

    def end_orphans(self):
        """End what carries this stack's mark; returns how many there were. Only for when circusd is gone."""
        found = procs.marked(self.var)
        servers = [pid for pid, name in found.items() if name == "postgres"]
        others = [pid for pid in found if pid not in servers]
        left = procs.end(others, QUIT_TIMEOUT_S)
        left += procs.end(
            servers, QUIT_TIMEOUT_S, signal.SIGINT
        )  # to PostgreSQL: a fast, clean shutdown
        if left:
            raise StackError(f"processes {left} do not end")
        return len(found)
