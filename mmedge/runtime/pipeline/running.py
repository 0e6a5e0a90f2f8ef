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
_ABANDON_S = 0.5
_DRAIN_S = 2.0


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
    now, or with the old one if that does not pass ``check``; that takes as long as it takes, on
    a thread of its own, and is abandoned at the end. Where systemd listens, it is told.

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
    reload = _Reload(pipeline, load, check)
    systemd = Systemd(os.environ)
    systemd.ready()  # the graphs are warm; a device that is missing is no reason to begin anew
    with _signals() as asked:
        while True:
            if asked.reload.is_set() and reload.begin():
                asked.reload.clear()
            if pipeline.monitor.failure is not None:
                raise pipeline.monitor.failure
            systemd.beat(pipeline.monitor.progress, time.monotonic_ns())
            if pipeline.fault is not None:
                raise pipeline.fault
            why = asked.why or ended()
            if not why and for_s is not None and time.monotonic() - begun_s >= for_s:
                why = f"{for_s:g} s are over"
            if not why and pipeline.ended:
                _drain(pipeline, asked.stop)
                why = asked.why or "every source has come to its end"
            if why:
                systemd.stopping()
                pipeline.close()
                reload.join(_ABANDON_S)
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


def _drain(pipeline: Pipeline, stop: threading.Event) -> None:
    """Let the last that came be predicted from; but not for ever."""
    until_s = time.monotonic() + _DRAIN_S
    while not pipeline.idle and time.monotonic() < until_s and not stop.wait(0.01):
        pass


class _Reload:
    """Loads, verifies and swaps the bundle on a thread of its own, one at a time."""

    def __init__(
        self, pipeline: Pipeline, load: Callable[[], Bundle], check: Callable[[Bundle], None]
    ) -> None:
        self._pipeline, self._load, self._check = pipeline, load, check
        self._thread: threading.Thread | None = None

    def begin(self) -> bool:
        """Begin, unless the one before has not ended."""
        if self._thread is not None and self._thread.is_alive():
            return False
        self._thread = threading.Thread(target=self._run, name="reload", daemon=True)
        self._thread.start()
        return True

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended, at most so long."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        kept = "the bundle was not changed, the old one goes on"
        try:
            self._pipeline.swap(self._load(), self._check)
        except MmedgeError as exc:
            _log.warning("%s: %s", kept, exc)
        except Exception as exc:  # noqa: BLE001 - a bundle of any kind must not end what runs
            _log.exception("%s: %s", kept, exc)
