"""Telling systemd how the pipeline is: ready, alive, ending.

The protocol is one datagram to the socket named by ``$NOTIFY_SOCKET``:
https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

__all__ = ["Systemd"]

logger = logging.getLogger(__name__)


class Systemd:
    """Sends messages, or does nothing where systemd does not listen. Nothing here raises.

    Args:
        environ: ``os.environ``, with ``NOTIFY_SOCKET``, ``WATCHDOG_USEC``, ``WATCHDOG_PID``.
        pid: of this process, which is not meant where ``WATCHDOG_PID`` is another.
    """

    def __init__(self, environ: Mapping[str, str], *, pid: int | None = None) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_ns = _watchdog_ns(environ, os.getpid() if pid is None else pid)
        self._progress: int | None = None
        self._due_ns = 0

    def ready(self, status: str = "") -> None:
        """Predictions can be made."""
        self._send("READY=1", f"STATUS={_line(status)}" if status else "")

    def status(self, status: str) -> None:
        """One line that ``systemctl status`` shows."""
        self._send(f"STATUS={_line(status)}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def beat(self, progress: int, now_ns: int) -> None:
        """Keep the watchdog quiet, but only while something moves on.

        Args:
            progress: a number that changes as long as the pipeline works; while it stays
                the same nothing is sent, and systemd restarts the service in the end.
            now_ns: on any one monotonic clock. Called often, it sends three times in
                what the watchdog allows.
        """
        if self.watchdog_ns is None or progress == self._progress or now_ns < self._due_ns:
            return
        self._progress = progress
        self._due_ns = now_ns + self.watchdog_ns // 3
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.setblocking(False)
                out.connect(self._address)
                out.send("\n".join(line for line in lines if line).encode())
        except OSError as exc:
            logger.debug("systemd does not listen: %s", exc)


def _address(told: str) -> str | None:
    """Turn ``@name`` into the abstract socket; anything else must be a path."""
    if not hasattr(socket, "AF_UNIX") or not told.startswith(("/", "@")):
        return None
    return "\0" + told[1:] if told.startswith("@") else told


def _watchdog_ns(environ: Mapping[str, str], pid: int) -> int | None:
    told = environ.get("WATCHDOG_USEC", "")
    if not told.isdecimal() or int(told) == 0 or environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(told) * 1_000


def _line(text: str) -> str:
    return " ".join(text.split())
