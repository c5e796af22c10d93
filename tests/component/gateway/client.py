"""A client that can break every rule: raw bytes out, responses parsed by the book."""

import json
import socket
from dataclasses import dataclass, field


@dataclass
class Response:
    """One answer."""

    status: int
    version: str
    headers: dict[str, str]
    body: bytes = field(repr=False)

    def json(self):
        """The body."""
        return json.loads(self.body)

    def problem(self):
        """The body of an error answer, checked for what every one has."""
        assert self.headers["content-type"] == "application/problem+json"
        problem = self.json()
        assert problem["status"] == self.status
        assert problem["type"] == "urn:souk:error:" + problem["code"]
        assert problem["title"]
        assert problem["request_id"] == self.headers["x-request-id"]
        assert len(problem["trace_id"]) == 32
        return problem


class Client:
    """One connection."""

    def __init__(self, port, receive_buffer=None, timeout=10):
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """End it."""
        self.socket.close()

    def send(self, data):
        """Raw bytes."""
        self.socket.sendall(data)

    def fill(self):
        """Read more; False at the end."""
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def at_end(self):
        """Whether the server has closed, with nothing left to read."""
        if self.buffer:
            return False
        try:
            return not self.fill()
        except ConnectionResetError:
            return True

    def read(self, head=False):
        """The next response; interim ones are responses too."""
        while b"\r\n\r\n" not in self.buffer:
            assert self.fill(), f"closed within a head: {self.buffer!r}"
        start, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = start.decode("latin-1").split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value
        size = int(headers.get("content-length", 0))
        if head or status in ("100", "204", "304"):
            size = 0
        while len(self.buffer) < size:
            assert self.fill(), "closed within a body"
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return Response(int(status), version, headers, body)

    def request(self, method, target, headers=None, body=None, read=True):
        """Send a request and read its answer."""
        lines = [f"{method} {target} HTTP/1.1"]
        headers = {"Host": "souk.test", **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
            headers.setdefault("Content-Length", str(len(body)))
        lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))
        return self.read(head=method == "HEAD") if read else None

    def get(self, target, **headers):
        """GET with headers named in Python's way."""
        return self.request(
            "GET", target, {name.replace("_", "-"): value for name, value in headers.items()}
        )
