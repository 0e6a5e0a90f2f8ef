"""A pipeline as a service: signals, watchdog, and an orderly end."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from mmedge.bundle import Bundle, open_bundle
from mmedge.errors import ConfigError, MmedgeError
from mmedge.runtime.pipeline.pipeline import Pipeline

__all__ = ["find_bundle", "run_service"]

_log = logging.getLogger(__name__)

_POLL_S = 0.1


def find_bundle(named: Path | None, folder: Path, demo: Path) -> tuple[Path, str]:
    """Find the bundle that is meant where none is named.

    Args:
        named: what the user named.
        folder: where to look for a single ``*.mmedge``.
        demo: the bundle that ships with mmedge.

    Returns:
        Its folder, and why it was taken, for people; empty if it was named.

    Raises:
        ConfigError: several are there.
    """
    if named is not None:
        return named, ""
    if os.environ.get("MMEDGE_BUNDLE"):
        return Path(os.environ["MMEDGE_BUNDLE"]), "named by MMEDGE_BUNDLE"
    here = sorted(path for path in folder.glob("*.mmedge") if path.is_dir())
    if len(here) > 1:
        names = ", ".join(path.name for path in here)
        raise ConfigError(f"several bundles are here ({names}); name one of them")
    if here:
        return here[0], "the only bundle here"
    return demo, "the demo's, since no bundle is named and none is here"


def run_service(
    pipeline: Pipeline,
    *,
    bundle: Path,
    check: Callable[[Bundle], None],
    for_s: float | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> str:
    """Run a started pipeline until it is told to end, and close it.

    SIGINT and SIGTERM end it; SIGHUP opens the bundle's folder again and goes on with what
    is there now, or with the old one if that does not pass ``check``.

    Args:
        pipeline: started.
        bundle: its folder.
        check: raises if a bundle is not to be trusted with the work.
        for_s: end after so long.
        notify: tells a supervisor (systemd) of the state, as ``READY=1``.

    Returns:
        Why it ended, for people.
    """
    begun_s = time.monotonic()
    said_ready = False
    with _signals() as asked:
        while True:
            if asked.reload.is_set():
                asked.reload.clear()
                _reload(pipeline, bundle, check, notify)
            status = pipeline.status()
            if status.ready and not said_ready:
                said_ready = True
                notify("READY=1")
            if pipeline.progressing:
                notify("WATCHDOG=1")
            why = asked.why
            if not why and for_s is not None and time.monotonic() - begun_s >= for_s:
                why = f"{for_s:g} s are over"
            if not why and pipeline.ended:
                why = "every source has come to its end"
            if why:
                notify("STOPPING=1")
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
    pipeline: Pipeline,
    bundle: Path,
    check: Callable[[Bundle], None],
    notify: Callable[[str], None],
) -> None:
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
    try:
        pipeline.swap(open_bundle(bundle), check)
    except MmedgeError as exc:
        _log.warning("the bundle was not changed, the old one goes on: %s", exc)
    notify("READY=1")
