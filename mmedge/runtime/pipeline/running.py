"""A pipeline as a service: signals, watchdog, and an orderly end."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from mmedge.bundle import Bundle
from mmedge.errors import MmedgeError
from mmedge.runtime.pipeline.pipeline import Pipeline
from mmedge.runtime.pipeline.systemd import Systemd

__all__ = ["run_service"]

_log = logging.getLogger(__name__)

_POLL_S = 0.1


def run_service(
    pipeline: Pipeline,
    *,
    load: Callable[[], Bundle],
    check: Callable[[Bundle], None] = lambda _: None,
    for_s: float | None = None,
    ended: Callable[[], str] = lambda: "",
) -> str:
    """Run a started pipeline until it is told to end, and close it.

    SIGINT and SIGTERM end it; SIGHUP loads the bundle again and goes on with what is there
    now, or with the old one if that does not pass ``check``. Where systemd listens, it is told.

    Args:
        pipeline: started.
        load: opens the bundle's folder.
        check: raises if a bundle is not to be trusted with the work.
        for_s: end after so long.
        ended: says why it is to end, or nothing.

    Returns:
        Why it ended, for people.

    Raises:
        ConfigError, IncompatibleError: a source cannot work as it was configured.
    """
    begun_s = time.monotonic()
    systemd = Systemd(os.environ)
    systemd.ready()  # the graphs are warm; a device that is missing is no reason to begin anew
    with _signals() as asked:
        while True:
            if asked.reload.is_set():
                asked.reload.clear()
                _reload(pipeline, load, check)
            if pipeline.monitor.failure is not None:
                raise pipeline.monitor.failure
            systemd.beat(pipeline.monitor.progress, time.monotonic_ns())
            if pipeline.fault is not None:
                raise pipeline.fault
            why = asked.why or ended()
            if not why and for_s is not None and time.monotonic() - begun_s >= for_s:
                why = f"{for_s:g} s are over"
            if not why and pipeline.ended:
                why = "every source has come to its end"
            if why:
                systemd.stopping()
                pipeline.close()
                return why
            asked.stop.wait(_POLL_S)


class _Asked:
    """What signals have asked for."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.reload = threading.Event()
        self.why = ""

    def end(self, number: int, frame: FrameType | None) -> None:
        """A signal to end; a second one ends at once."""
        if self.why:
            raise KeyboardInterrupt
        self.why = signal.Signals(number).name
        self.stop.set()

    def again(self, number: int, frame: FrameType | None) -> None:
        """A signal to open the bundle again."""
        self.reload.set()


@contextmanager
def _signals() -> Iterator[_Asked]:
    """Listen to signals, where this is the main thread, and give them back afterwards."""
    asked = _Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    wanted = {signal.SIGINT: asked.end, signal.SIGTERM: asked.end}
    if hasattr(signal, "SIGHUP"):  # not on Windows
        wanted[signal.SIGHUP] = asked.again
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reload(
    pipeline: Pipeline, load: Callable[[], Bundle], check: Callable[[Bundle], None]
) -> None:
    try:
        pipeline.swap(load(), check)
    except MmedgeError as exc:
        _log.warning("the bundle was not changed, the old one goes on: %s", exc)
