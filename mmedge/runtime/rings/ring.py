"""What every ring can do."""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

from mmedge.runtime.preprocess import Picture, Raw

__all__ = ["Ring", "Window"]

_DISORDER_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Window:
    """What one run of an encoder sees.

    Attributes:
        raw: as its preprocessor takes it.
        begin_ns: capture time of the oldest sample in it.
        end_ns: capture time of the newest; for sound and signals the end of the window,
            which is half open.
        place: how a recording finds it again: the capture times of its pictures; run, stop
            and end of a sound; end of a signal's window; the number of a line.
        reset: why the state of an encoder has to begin anew before it; empty if it has not.
        skipped: how many pictures or windows came before it and will never be encoded.
        rate_ppm: how much faster than promised a sound's samples came; NaN if not known.
    """

    raw: Raw | Picture
    begin_ns: int
    end_ns: int
    place: tuple[int, ...]
    reset: str = ""
    skipped: int = 0
    rate_ppm: float = float("nan")


class Ring(ABC):
    """Takes samples from one thread and gives windows to another."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.disordered = 0
        """Samples that came with no later time than the one before, and were dropped."""
        self._lock = threading.Lock()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()  # a condition costs twice as much
        self._news = False
        self._newest_ns: int | None = None
        self._reset = "start"

    def push(self, sample: Any) -> None:
        """Take a sample; its arrays now belong to the ring.

        Raises:
            ConfigError: the modality does not take such samples.
        """
        prepared = self._prepare(sample)
        with self._lock:
            news = self._in_order_of_time(sample) and self._keep(prepared)
            self._news = self._news or news
        if news:
            self.wake()

    def check(self, sample: Any) -> None:  # noqa: B027 - most take whatever is of their kind
        """Refuse a sample that the modality does not take.

        Raises:
            ConfigError: it does not.
        """

    def wake(self) -> None:
        """End a `take` that waits in another thread."""
        if self._bell.empty():
            self._bell.put(None)

    @property
    def waiting(self) -> bool:
        """Whether there may be a window: until a `take` finds none, what it gave is in work."""
        return self._news

    def take(self, timeout_s: float = 0.0) -> Window | None:
        """Give the window that is to be encoded now, once.

        Args:
            timeout_s: how long to wait for one that may be there.

        Returns:
            The window; ``None`` if there is none yet.
        """
        window = self._take()
        if window is None and timeout_s > 0:
            try:
                self._bell.get(timeout=timeout_s)
            except queue.Empty:
                return None
            window = self._take()
        return window

    def _take(self) -> Window | None:
        with self._lock:
            window = self._next()
            self._news = window is not None
            if window is not None and self._reset:
                window = replace(window, reset=self._reset)
                self._reset = ""
            return window

    @abstractmethod
    def cut(self, place: tuple[int, ...]) -> Window | None:
        """Cut a window again where a recording says; ``None`` until it has all come."""

    def interrupt(self, why: str) -> None:
        """Say that what comes next does not follow on what came before."""
        with self._lock:
            self._reset = why

    def _prepare(self, sample: Any) -> Any:
        """Do what needs no lock."""
        return sample

    @abstractmethod
    def _keep(self, sample: Any) -> bool:
        """Take a prepared sample, and forget what no window can need any more.

        Returns:
            Whether there may be a new window: nobody is woken for less.
        """

    @abstractmethod
    def _next(self) -> Window | None:
        """As `take`, under the lock and without waiting."""

    @abstractmethod
    def _clear(self) -> None:
        """Forget all samples, and what was taken."""

    def _in_order_of_time(self, sample: Any) -> bool:
        """Drop what comes late; begin anew where a clock has been set back."""
        time_ns: int = sample.time_ns
        if self._newest_ns is not None and time_ns < self._newest_ns:
            if self._newest_ns - time_ns < _DISORDER_NS:
                self.disordered += 1
                return False
            self._clear()
            self._reset = "its clock was set back"
        self._newest_ns = time_ns
        return True
