"""Keep the log files small: a process of the stack.

The writers hold their files open in append mode, so a full file is copied to NAME.1 and cut to nothing. A line
written between the two may be lost; that is the price of writers that need not know of rotation.
"""

import os
import shutil
import time
from pathlib import Path

from . import procs

PERIOD_S = 5
BYTES_MAX = 16 * 1024 * 1024
GENERATIONS = 4


def rotate(path, bytes_max=BYTES_MAX, generations=GENERATIONS):
    """Move the content of a file that has grown past the limit; returns whether it did."""
    try:
        if path.stat().st_size <= bytes_max:
            return False
    except FileNotFoundError:
        return False
    for number in range(generations - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)
    return True


def main():
    """Watch the stack's logs until the supervisor ends this process."""
    log_dir = Path(os.environ[procs.MARK]) / "log"
    while True:
        for path in log_dir.glob("*.log"):
            rotate(path)
        time.sleep(PERIOD_S)
