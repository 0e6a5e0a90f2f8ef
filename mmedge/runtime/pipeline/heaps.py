"""How many heaps the threads of a process that serves have: glibc's default is eight for a core."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["share_heaps"]

_M_ARENA_MAX = -8  # malloc.h
_HEAPS = 2


def share_heaps() -> bool:
    """Let all threads share two heaps, before the first of them begins.

    A heap of its own saves a thread waiting, and keeps what passed through it. Ours hold
    the interpreter's lock for most of what they allocate, and would wait for that anyway.
    It is for whoever owns the process; a pipeline inside an app leaves the app's heaps alone.

    Returns:
        whether this C library can: glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_ARENA_MAX, _HEAPS))
