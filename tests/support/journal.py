"""What clients know of their own writes, one JSON line for each answer: the checker's first witness.

A key's fate is `acknowledged` (2xx, with the order's id), `refused` (a final 4xx, with its code) or `open` (never a final answer). A
client repeats a key with the same request until it has one.
"""

import json
import threading


class Journal:
    """Appends lines to a file, flushed one by one, and keeps them for the test."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8")
        self.lines = []
        self.lock = threading.Lock()

    def write(self, **fields):
        with self.lock:
            self.lines.append(fields)
            self.file.write(json.dumps(fields) + "\n")
            self.file.flush()

    def close(self):
        self.file.close()

    def fates(self, action):
        """key -> its last word, for one kind of write."""
        with self.lock:
            return {line["key"]: line for line in self.lines if line["action"] == action}

    def keys(self, action, fate):
        return {key: line for key, line in self.fates(action).items() if line["fate"] == fate}
