"""What our parser accepts, Node's parser frames the same way: method, target, fields and body of every request.

The other way round does not hold: ours refuses more. A request that we accept and Node refuses or cuts elsewhere would be a gap for
smuggling through a proxy that thinks as Node does.
"""

import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from conftest import BUILD, ROOT

HERE = Path(__file__).resolve().parent
DUMP = BUILD / "tests" / "http1_dump"
CORPUS = ROOT / "tests/fuzz/corpus/http1"
NODE = shutil.which("node")
BITS = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b"0", b"1", b"a", b";", b"=", b'"', b",", b":", b"+", b"\x7f", b"\x80", b"\x0b",
    b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n",
    b"Host: b\r\n", b"GET / HTTP/1.1\r\n", b"0\r\n\r\n", b"3\r\nabc\r\n", b";x=y", b"Expect: 100-continue\r\n", b"Upgrade: x\r\n",
    b"Connection: upgrade\r\n", b"Content-Length: 0\r\n", b"transfer-encoding: identity\r\n", b"Trailer: x\r\n", b"Keep-Alive: 1\r\n",
]  # fmt: skip
KNOWN = [  # each has to be accepted as so many requests, or the comparison would prove nothing
    (b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nHEAD /b?c HTTP/1.1\r\nHost: x\r\n\r\n", 2),
    (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: x\r\n\r\n", 2),
    (b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 2),
]  # fmt: skip


def mutated(randomness, streams):
    """One stream, changed in a few places, or two of them spliced."""
    stream = bytearray(randomness.choice(streams))
    for _ in range(randomness.randint(1, 3)):
        at = randomness.randint(0, len(stream))
        match randomness.randint(0, 4):
            case 0:
                stream[at:at] = randomness.choice(BITS)
            case 1:
                del stream[at : at + randomness.randint(1, 4)]
            case 2 if at < len(stream):
                stream[at] = randomness.randrange(256)
            case 3:
                lines = bytes(stream).split(b"\r\n")
                lines.insert(randomness.randint(0, len(lines)), randomness.choice(lines))
                stream = bytearray(b"\r\n".join(lines))
            case _:
                stream[at:] = randomness.choice(streams)[-randomness.randint(1, 60) :]
    return bytes(stream)


def dump(command, streams):
    """For each stream: its requests, and whether it ended in an error."""
    data = b"".join(struct.pack("<I", len(stream)) + stream for stream in streams)
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True, timeout=120)
    ret, requests = [], []
    for line in done.stdout.decode("ascii").splitlines():
        if line == ".":
            ret.append((requests, False))
            requests = []
        elif line == "E":
            ret.append((requests, True))
        else:
            requests.append(line)
    return [one for at, one in enumerate(ret) if not (at > 0 and ret[at - 1][1])]


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_node_frames_what_we_accept_in_the_same_way():
    randomness = random.Random(20261124)
    seeds = [path.read_bytes()[1:] for path in sorted(CORPUS.iterdir())] + [
        stream for stream, _ in KNOWN
    ]
    streams = seeds + [mutated(randomness, seeds) for _ in range(6000)]
    ours = dump([str(DUMP)], streams)
    theirs = dump([NODE, str(HERE / "node_dump.js")], streams)
    assert len(ours) == len(theirs) == len(streams)
    accepted = 0
    for stream, (our_requests, _), (their_requests, _) in zip(streams, ours, theirs, strict=True):
        accepted += len(our_requests)
        assert our_requests == their_requests[: len(our_requests)], stream
    for stream, count in KNOWN:
        assert len(ours[streams.index(stream)][0]) == count
    assert accepted > 1000
