"""Imports one package, and says how that went, in a process of its own.

It runs as a script, because a package that is broken may end the process that imports it:
a library for another CUDA, or one that was compiled for another numpy.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

DRIVER = "mmedge.engines.driver"
"""Stands for asking the NVIDIA driver, whose library may crash or hang as well."""


def main() -> None:
    """Import what the argument names, and print JSON."""
    out = _claim_output()
    name = sys.argv[1]
    try:
        answer = _driver() if name == DRIVER else _tried(name)
    except BaseException as exc:  # noqa: BLE001 - whatever a package does when it is imported
        answer = {
            "error": f"{type(exc).__name__}: {exc}",
            "missing": exc.name == name if isinstance(exc, ModuleNotFoundError) else False,
        }
    out.write(json.dumps(answer).encode())
    out.flush()
    os._exit(0)  # some libraries' own farewells hang, or crash


def _claim_output() -> BinaryIO:
    """Keep standard output for the answer; what packages print goes nowhere."""
    out = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return out


def _tried(name: str) -> dict[str, Any]:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as mmedge itself does
    module = importlib.import_module(name)
    answer = {
        "version": str(getattr(module, "__version__", "")),
        "file": str(getattr(module, "__file__", "") or ""),
    }
    if name == "cv2":
        lines = (line.strip() for line in module.getBuildInformation().splitlines())
        found = (line.partition(":")[2].strip() for line in lines if line.startswith("GStreamer:"))
        answer["gstreamer"] = next(found, "NO")
    return answer


def _driver() -> dict[str, Any]:
    """Ask the driver; of mmedge only this one file is loaded, whatever packages are broken."""
    found = importlib.util.find_spec("mmedge")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("No module named 'mmedge'", name=DRIVER)
    file = Path(found.origin).parent.joinpath(*DRIVER.split(".")[1:]).with_suffix(".py")
    spec = importlib.util.spec_from_file_location(DRIVER, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[DRIVER] = module
    spec.loader.exec_module(module)
    return {"driver": asdict(module.probe())}


if __name__ == "__main__":
    main()
