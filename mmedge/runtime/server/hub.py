"""Messages from the pipeline's side to every reader, each behind a short queue of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from mmedge.runtime.sinks.lines import What

__all__ = ["Hub", "Reader"]


class Reader:
    """One WebSocket's messages. `next` runs in the server's loop, `put` in any thread."""

    def __init__(self, what: What, queue: int) -> None:
        self.what: What = what
        self.dropped = 0
        self._waiting: deque[str] = deque(maxlen=queue)
        self._loop = asyncio.get_running_loop()
        self._filled = asyncio.Event()

    def put(self, text: str) -> int:
        """Queue a message; give 1 if the oldest had to make way, else 0."""
        lost = int(len(self._waiting) == self._waiting.maxlen)
        self.dropped += lost
        self._waiting.append(text)
        if not self._filled.is_set():
            self._loop.call_soon_threadsafe(self._filled.set)
        return lost

    async def next(self) -> str:
        """Wait for the oldest message that still waits."""
        while not self._waiting:
            self._filled.clear()
            if not self._waiting:  # none came in between
                await self._filled.wait()
        return self._waiting.popleft()


class Hub:
    """All readers. Their number is bounded, and publishing never waits for one of them."""

    def __init__(self, *, readers: int, queue: int) -> None:
        self.dropped = 0
        self._limit = readers
        self._queue = queue
        self._readers: list[Reader] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._readers)

    def join(self, what: What) -> Reader | None:
        """Take a reader in; ``None`` when there are too many. In the server's loop only."""
        with self._lock:
            if len(self._readers) >= self._limit:
                return None
            reader = Reader(what, self._queue)
            self._readers.append(reader)
            return reader

    def leave(self, reader: Reader) -> None:
        """Forget a reader."""
        with self._lock:
            self._readers.remove(reader)

    def wants(self, what: What) -> bool:
        """Tell whether anybody reads such messages."""
        with self._lock:
            return any(reader.what == what for reader in self._readers)

    def publish(self, what: What, lines: list[str]) -> None:
        """Queue messages for everybody who reads such."""
        with self._lock:
            for reader in self._readers:
                if reader.what == what:
                    self.dropped += sum(reader.put(line) for line in lines)
