"""What the compiler says and does while it works: complaints, its layers, progress, Ctrl-C.

Its base classes are known only when a TensorRT is there, so the classes are made then.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

__all__ = ["Heard", "hear", "interruptible", "listener_of", "make_monitor"]

_LOG = logging.getLogger(__name__)
_QUIET_NS = 2_000_000_000
"""Between two words about progress."""


@dataclass
class Heard:
    """What TensorRT said while somebody listened.

    Attributes:
        complaints: the last errors and warnings, in order.
        layers: its list of the engine's layers; TensorRT-RTX gives one, in a message.
    """

    complaints: deque[str] = field(default_factory=lambda: deque(maxlen=64))
    layers: str = ""


@contextmanager
def hear(trt: Any) -> Iterator[Heard]:
    """Listen to what TensorRT says in this thread, for this one's ears alone.

    What it says in a thread where nobody listens, such as one of its compiler's own, is for
    all that listen.
    """
    listening, thread = listener_of(trt).listening, threading.get_ident()
    before, heard = listening.get(thread), Heard()
    listening[thread] = heard
    try:
        yield heard
    finally:
        if before is None:
            del listening[thread]
        else:
            listening[thread] = before


@cache
def listener_of(trt: Any) -> Any:
    """Give the one ``ILogger`` of this process, which lives as long as that.

    TensorRT goes on with the first that it was given while anything that was made with it
    lives, ignores all others, and keeps none of them alive.
    """
    loud = (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR, trt.ILogger.WARNING)

    class Listener(trt.ILogger):  # type: ignore[misc]  # known only now
        listening: ClassVar[dict[int, Heard]] = {}
        """Thread -> what its listener has heard."""

        def log(self, severity: Any, message: str) -> None:
            mine = self.listening.get(threading.get_ident())
            for heard in list(self.listening.values()) if mine is None else [mine]:
                if severity in loud:
                    heard.complaints.append(message.strip(" ."))  # it pads some
                elif message.startswith("Layers:"):
                    heard.layers = message
            _LOG.debug("%s", message)

    return Listener()


def make_monitor(trt: Any, say: Callable[[str], None], stopped: threading.Event) -> Any:
    """Make an ``IProgressMonitor`` that tells how far the compiler is.

    Args:
        trt: the module.
        say: told the phase and its share, every two seconds at most.
        stopped: once set, the compiler is to end at its next step.
    """
    last_ns = time.monotonic_ns()
    steps: dict[str, int] = {}

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # known only now
        def phase_start(self, phase: str, parent: str | None, count: int) -> None:
            steps[phase] = max(1, count)

        def step_complete(self, phase: str, step: int) -> bool:
            nonlocal last_ns
            now_ns = time.monotonic_ns()
            if now_ns - last_ns > _QUIET_NS:
                last_ns = now_ns
                say(f"{phase.lower()} {min(1.0, (step + 1) / steps.get(phase, 1)):.0%}")
            return not stopped.is_set()

        def phase_finish(self, phase: str) -> None:
            steps.pop(phase, None)

    return Monitor()


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Let Ctrl-C and SIGTERM set an event instead of raising: the compiler is no place for that.

    The signal comes again at the end, for whom it was meant. Outside of the main thread nothing
    changes: there, no signal comes.

    Yields:
        what is set.
    """
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    came = []

    def hear(number: int, _: object) -> None:
        came.append(number)
        stopped.set()

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    # Ignored in the background of a shell; None belongs to somebody who is not Python.
    before = {each: how for each, how in before.items() if how not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, hear)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
