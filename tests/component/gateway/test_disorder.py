"""Many clients that do what they like, from a fixed seed: nothing is mixed up, nothing leaks, and the gateway lives on."""

import random
import select
import socket
import time

from broker import err, rep


class Clown:
    """A connection that sends pieces of sound and broken requests, reads now and then, and vanishes."""

    def __init__(self, gateway, randomness, echoed):
        self.randomness = randomness
        self.client = gateway.client(receive_buffer=randomness.choice([2048, None]))
        self.client.socket.setblocking(False)
        self.expected = []  # of each sound request that was sent whole: the text of its echo
        self.pending = b""
        self.echoed = echoed  # all texts that came back to anyone

    def more(self, number):
        """The bytes of another request."""
        kind = self.randomness.randrange(10)
        if kind == 0:
            return b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", None
        if kind == 1:
            return b"POST /v1/diag/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", None
        text = f"{number}-" + "x" * self.randomness.choice([1, 100, 9000])
        body = b'{"text":"' + text.encode() + b'"}'
        head = b"POST /v1/diag/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        if kind < 4:
            half = len(body) // 2
            chunks = b"".join(
                b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:])
            )
            return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", text
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body, text

    def step(self, number):
        """Do something; False when it has gone."""
        chance = self.randomness.random()
        if chance < 0.02:
            self.client.close()
            return False
        if chance < 0.03:
            self.pending += b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n"
        if chance < 0.4 and len(self.pending) < 20000:
            data, text = self.more(number)
            self.pending += data
            self.expected.append(text)
        try:
            if self.pending:
                piece = self.randomness.choice([1, 7, 100, 30000])
                sent = self.client.socket.send(self.pending[:piece])
                self.pending = self.pending[sent:]
            if chance > 0.5:
                while (
                    b"\r\n\r\n" in self.client.buffer
                    or select.select([self.client.socket], [], [], 0)[0]
                ):
                    if not self.read():
                        return False
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            self.client.close()
            return False
        return True

    def read(self):
        """Read what is there; answers have to be those of the requests, in order."""
        client = self.client
        data = b""
        try:
            data = client.socket.recv(65536)
        except BlockingIOError:
            pass
        client.buffer += data
        while b"\r\n\r\n" in client.buffer:
            head, _, rest = client.buffer.partition(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            if len(rest) < size:
                break
            status = int(head[9:12])
            body, client.buffer = rest[:size], rest[size:]
            if status == 200:
                text = self.expected.pop(0)
                self.echoed.append(text)
                assert text is not None and b'"text":"' + text.encode() + b'"' in body
            elif b"Connection: close" in head:
                client.close()
                return False
            else:
                self.expected.pop(0)
        if not data and client.socket.fileno() >= 0 and not client.buffer and self.at_end():
            client.close()
            return False
        return True

    def at_end(self):
        """Whether the other side has closed."""
        try:
            return self.client.socket.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False


def test_disorder(start, broker):
    randomness = random.Random(4)
    gateway = start(threads=2, pipeline_max=4, rate_per_address=0, access_log_sample=0)
    held = []
    dice = random.Random(5)  # of the broker's thread

    def answer(req):
        reply = rep({"text": req.body["text"], "worker": "w"})
        chance = dice.random()
        if chance < 0.3 or len(held) > 20:
            return reply(req) if chance < 0.25 else err("unavailable")(req)
        held.append((req, reply))
        return None

    def release():
        randomness.shuffle(held)
        while held:
            req, reply = held.pop()
            broker.answer(req, reply)

    broker.answers["echo"] = answer
    clowns, echoed, number = [], [], 0
    end = time.monotonic() + 60
    while (number < 4000 or len(echoed) < 100) and time.monotonic() < end:
        number += 1
        if len(clowns) < 30:
            clowns.append(Clown(gateway, randomness, echoed))
        clown = randomness.choice(clowns)
        if not clown.step(number):
            clowns.remove(clown)
        if number % 25 == 0:
            release()
    assert len(echoed) >= 100
    for clown in clowns:
        clown.client.close()
    while gateway.metric("souk_gateway_connections") > 0:
        release()  # the kernel may hold more of a vanished client's requests than the gateway reads at once
        assert time.monotonic() < end + 60
    assert gateway.metric("souk_gateway_calls_outstanding") == 0
    release()
    broker.answers["echo"] = rep({"text": "x", "worker": "w"})
    with gateway.client() as client:
        assert client.request("POST", "/v1/diag/echo", body={"text": "x"}).status == 200
