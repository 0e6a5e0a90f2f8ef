"""Connections that ask nothing, from another process: thousands, and all at once."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

from mmedge.runtime.server import Server
from tests.runtime.server.asking import get, heard, listen, running
from tests.runtime.sinks.ticks import make_tick

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc"
)

FLOOD = """
import resource, socket, sys
port, wanted = map(int, sys.argv[1:])
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
count = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard - 100)
held = []
for _ in range(count):
    each = socket.socket()
    each.connect(("127.0.0.1", port))
    held.append(each)
print(count, flush=True)
sys.stdin.read()
"""


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextmanager
def flood(port: int, count: int) -> Iterator[IO[bytes]]:
    """Another process that opens connections and holds them; tells when it has them all."""
    process = subprocess.Popen(
        [sys.executable, "-c", FLOOD, str(port), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield process.stdout
    finally:
        process.kill()
        process.communicate()


def patiently(server: Server) -> int:
    """Ask as a probe does: once more where the connection had to make way."""
    for _ in range(3):
        with suppress(ConnectionResetError):
            return get(server, "/healthz")[0]
    return 0


def test_ten_thousand_idle_connections_keep_nobody_out() -> None:
    with running(connections=64) as server, listen(server) as reader:
        before, most, slowest_s, number, flooded = open_files(), 0, 0.0, 0, False
        with flood(server.port, 10_000) as told:
            while not flooded:
                flooded = bool(select.select([told], [], [], 0)[0])
                begin_s = time.monotonic()
                assert patiently(server) == 200
                slowest_s = max(slowest_s, time.monotonic() - begin_s)
                server.emit(make_tick(number))
                assert heard(reader)["number"] == number
                number += 1
                most = max(most, open_files())
            # Fewer where the limit on open files is lower, which then bounds strangers too.
            assert int(told.readline()) >= 900
        # Held, in their grace, and a few batches that come and go; far from the usual 1024.
        assert most - before <= 64 + 128 + 4 * 32
        assert number > 10
        assert slowest_s < 3


def test_a_request_that_never_ends_is_cut_off() -> None:
    with (
        running(request_ms=300) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as slow,
    ):
        begin_s = time.monotonic()
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            trickle(slow)
        assert 0.25 < time.monotonic() - begin_s < 2


def trickle(slow: socket.socket) -> None:
    for _ in range(100):
        slow.sendall(b"G")  # a byte at a time, so that it is never idle
        time.sleep(0.05)


def test_connections_beyond_the_limit_make_way_oldest_first() -> None:
    with running(clients=1, connections=9) as server:
        mute = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(12)]
        time.sleep(0.2)
        assert get(server, "/healthz")[0] == 200
        states = []
        for each in mute:
            each.settimeout(0.05)
            try:
                states.append("gone" if each.recv(1) == b"" else "answered")
            except ConnectionResetError:
                states.append("gone")
            except TimeoutError:
                states.append("held")
            each.close()
        assert states == ["gone"] * 3 + ["held"] * 9
