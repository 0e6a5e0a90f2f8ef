"""How a command ends: on Ctrl-C, on SIGTERM, with nobody left to read, and with a message."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import typer
import typer.core

__all__ = ["Commands", "fail"]


class Commands(typer.core.TyperGroup):
    """Ends on signals and on a closed pipe in our way; typer would do it in its own."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            with _terminable():
                result = super().invoke(ctx)
            sys.stdout.flush()
        except _Terminated:
            os.kill(os.getpid(), signal.SIGTERM)  # who waits for us is to see what ended us
            raise
        except KeyboardInterrupt:
            sys.exit(fail("interrupted", 130))
        except BrokenPipeError:
            # The reader has gone (mmedge ... | head); nobody is left to write to.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        return result


class _Terminated(KeyboardInterrupt):
    """SIGTERM: what was begun is put away, as at Ctrl-C."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM unwind a command; what runs live listens to it in its own way."""

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, before)
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def fail(message: str, code: int) -> int:
    """Print what went wrong, and give the exit code."""
    typer.echo(f"mmedge: {message}", err=True)
    return code
