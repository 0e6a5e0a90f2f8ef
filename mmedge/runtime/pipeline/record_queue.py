"""One thread that writes what a recording takes, and the queue before it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from mmedge.runtime.recording.writer import Writer

__all__ = ["RecordQueue"]


class RecordQueue:
    """Takes without waiting, before its start too; what does not fit is lost and counted.

    Args:
        most_bytes: may wait.
    """

    def __init__(self, most_bytes: int) -> None:
        self.lost = 0
        self.broken = ""
        """Why nothing more can be written; empty while it can."""
        self._most_bytes = most_bytes
        self._waiting: deque[tuple[Any, int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def start(self, writer: Writer, on_change: Callable[[], None]) -> None:
        """Begin to write.

        Args:
            writer: gets everything on one thread, and is closed there.
            on_change: told on that thread when the recording's header has to tell more.
        """
        self._thread = threading.Thread(
            target=self._run, args=(writer, on_change), name="record", daemon=True
        )
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether something may still be written."""
        return self._thread is not None and self._thread.is_alive()

    def put(self, sample: Any, size_bytes: int) -> None:
        """Leave a sample or a line."""
        with self._changed:
            if self.broken or self._closing or self._bytes + size_bytes > self._most_bytes:
                self.lost += not self._closing
                return
            self._waiting.append((sample, size_bytes))
            self._bytes += size_bytes
            self._changed.notify()

    def stop(self) -> None:
        """Ask it to write what waits and to end."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended, at most so long."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self, writer: Writer, on_change: Callable[[], None]) -> None:
        try:
            while (sample := self._next()) is not None:
                if writer.write(sample):
                    on_change()
        except Exception as exc:  # noqa: BLE001 - a full disk ends the recording, nothing else
            self._break(exc)
        try:
            writer.close()
        except Exception as exc:  # noqa: BLE001 - as above
            self._break(exc)

    def _break(self, exc: Exception) -> None:
        told = exc.strerror if isinstance(exc, OSError) else ""
        with self._changed:
            self.broken = self.broken or told or str(exc) or type(exc).__name__
            self.lost += len(self._waiting)
            self._waiting.clear()
            self._bytes = 0

    def _next(self) -> Any:
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return None
                self._changed.wait()
            sample, size_bytes = self._waiting.popleft()
            self._bytes -= size_bytes
            return sample
