"""What went wrong in the user's own code, in one line, and on which of theirs."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

from pydantic import ValidationError

from mmedge.manifest import first_complaint

__all__ = ["one_line", "their_line"]

_OURS = str(Path(__file__).resolve().parents[1])


def one_line(exc: BaseException) -> str:
    """Say what went wrong and on which line of the user's file."""
    if isinstance(exc, ValidationError):
        text = f"{exc.title}: {first_complaint(exc)}"
    else:
        text = f"{type(exc).__name__}: {str(exc).partition(chr(10))[0]}"
    line = "" if isinstance(exc, SyntaxError) else their_line(exc)  # it says its own
    return f"{text} ({line})" if line else text


def their_line(exc: BaseException) -> str:
    """Give the innermost line of the user's that led there, ``""`` if none did."""
    frames = [f for f in traceback.extract_tb(exc.__traceback__) if _is_theirs(f.filename)]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""


def _is_theirs(filename: str) -> bool:
    """Tell the user's files from Python's, installed packages' and mmedge's."""
    installed = tuple(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib"))
    return not filename.startswith(("<frozen", _OURS, *installed))
