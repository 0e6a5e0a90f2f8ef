"""One measurement at a time on a machine: two would spoil each other's timings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mmedge.errors import ConfigError
from mmedge.runtime.measured import record_folder

__all__ = ["alone"]

_LOCK = ".lock"


@contextmanager
def alone(say: Callable[[str], None]) -> Iterator[None]:
    """Wait until nobody else of this user measures; who does already may do it again.

    Where there can be no lock nothing can be kept either, so there is none. The system gives
    it back when its holder ends, however it does.

    Args:
        say: told that another one is waited for.
    """
    from filelock import FileLock, Timeout

    lock: FileLock | None = None
    try:
        folder = record_folder()
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK, is_singleton=True, fallback_to_soft=False)
        lock.acquire(timeout=0)
    except Timeout:
        assert lock is not None
        say("another process measures; this one waits for it")
        lock.acquire(timeout=-1)
    except (ConfigError, OSError):
        lock = None
    try:
        yield
    finally:
        if lock is not None:
            lock.release()
