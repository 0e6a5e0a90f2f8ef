from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mmedge.runtime.pipeline.systemd import Systemd

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")

SECOND_NS = 1_000_000_000


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The address that systemd would give, and its end of it."""
    address = str(tmp_path / "notify")
    if request.param == "abstract":
        address = f"@mmedge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + address[1:] if address[0] == "@" else address)
        listening.setblocking(False)
        yield address, listening


def heard(listening: socket.socket) -> list[str]:
    told: list[str] = []
    with suppress(BlockingIOError):  # that was all
        while True:
            told.append(listening.recv(4_096).decode())
    return told


def test_it_is_told_when_the_service_is_ready_and_when_it_ends(
    manager: tuple[str, socket.socket],
) -> None:
    address, listening = manager
    systemd = Systemd({"NOTIFY_SOCKET": address})
    systemd.ready("digits:\nREADY=0 camera 0")
    systemd.status("degraded")
    systemd.stopping()
    assert heard(listening) == [
        "READY=1\nSTATUS=digits: READY=0 camera 0",
        "STATUS=degraded",
        "STOPPING=1",
    ]


def test_the_watchdog_is_fed_only_while_there_is_progress(
    manager: tuple[str, socket.socket],
) -> None:
    address, listening = manager
    systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"})
    assert systemd.watchdog_ns == 30 * SECOND_NS
    for second in range(31):  # four times in thirty seconds
        systemd.beat(second, second * SECOND_NS)
    assert heard(listening) == ["WATCHDOG=1"] * 4
    for second in range(31, 100):  # stuck
        systemd.beat(30, second * SECOND_NS)
    assert heard(listening) == []
    systemd.beat(31, 100 * SECOND_NS)
    assert heard(listening) == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"},
    ],
)
def test_a_watchdog_that_is_not_ours_is_not_fed(
    manager: tuple[str, socket.socket], environ: dict[str, str]
) -> None:
    address, listening = manager
    systemd = Systemd({"NOTIFY_SOCKET": address, **environ}, pid=4711)
    systemd.beat(1, SECOND_NS)
    assert systemd.watchdog_ns is None
    assert heard(listening) == []


@pytest.mark.parametrize("address", ["", "relative", "/no/such/socket", "@nobody-listens-here"])
def test_without_systemd_nothing_happens(address: str) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"})
    systemd.ready()
    systemd.beat(1, 0)
    systemd.stopping()


def test_a_manager_that_does_not_read_delays_nobody(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        systemd = Systemd({"NOTIFY_SOCKET": address})
        for _ in range(2_000):  # far more than the socket's queue holds
            systemd.status("x" * 1_000)
