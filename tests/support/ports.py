"""Free TCP ports for private stacks, safe beside other test runs on the same machine.

A port from bind(0) may be taken as the source of an outgoing connection before its server binds it. These lie below
the kernel's range for those, and a locked file claims a block of them for the life of this process.
"""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

BLOCK = 25
DEFAULT_RANGE = (
    "28000-31999"  # away from the defaults of `make up`; SOUK_TEST_PORTS chooses another
)


def is_free(port):
    """Whether nobody listens on the port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Ports:
    """Hands out ports of the blocks that it has claimed."""

    def __init__(self):
        low, _, high = os.environ.get("SOUK_TEST_PORTS", DEFAULT_RANGE).partition("-")
        self.blocks = [
            range(first, first + BLOCK) for first in range(int(low), int(high) - BLOCK + 2, BLOCK)
        ]
        random.shuffle(self.blocks)
        self.locks = []
        self.free = []

    def claim(self):
        """Claim one more block."""
        folder = Path(tempfile.gettempdir()) / f"souk-ports-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        while self.blocks:
            block = self.blocks.pop()
            lock = open(folder / str(block[0]), "w")  # held open: closing it gives the block back
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            self.locks.append(lock)
            self.free += [port for port in block if is_free(port)]
            return
        raise RuntimeError("no free ports left for tests: SOUK_TEST_PORTS chooses the range")

    def take(self, count=1):
        """A list of so many free ports that follow each other."""
        while True:
            for start in range(len(self.free) - count + 1):
                run = self.free[start : start + count]
                if run[-1] - run[0] == count - 1:
                    del self.free[start : start + count]
                    return run
            self.claim()


PORTS = Ports()
