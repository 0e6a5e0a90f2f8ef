"""Optional packages: imported where they are used, named when they are missing."""

from __future__ import annotations

import importlib
import os
from typing import Any

from mmedge.errors import MissingDependencyError

__all__ = ["require"]


def require(module: str, *, extra: str, why: str) -> Any:
    """Import an optional package, or say how to get it.

    Args:
        module: dotted name of the module to import.
        extra: what brings it, as in ``pip install 'mmedge[extra]'``. Several
            possibilities are separated by ``|``.
        why: the thing that needs it, as the subject of a sentence.

    Raises:
        MissingDependencyError: the package is not installed. A package that is
            installed but broken raises its own error instead.
    """
    if module.partition(".")[0] == "onnxruntime":
        # From 1.29 on it reports each run to its makers, and keeps a file to know the machine by.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name != module.partition(".")[0]:
            raise
        ways = " or ".join(f"pip install 'mmedge[{name}]'" for name in extra.split("|"))
        raise MissingDependencyError(
            f"{why} needs the package '{exc.name}', which is not installed. Install it with: {ways}"
        ) from exc
