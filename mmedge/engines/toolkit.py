"""TensorRT or TensorRT-RTX, one code for both: the module is handed on, its features are found.

What a version has is asked with ``hasattr``, never read from its number: vendors take features
back, and bring them again.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any, Literal

from mmedge._optional import require
from mmedge.engines.driver import Driver, probe
from mmedge.errors import IncompatibleError, MissingDependencyError

__all__ = ["Toolkit", "ToolkitName", "installed_toolkit", "is_installed", "open_toolkit"]

ToolkitName = Literal["tensorrt", "tensorrt_rtx"]
_EXTRAS = {"tensorrt": "tensorrt-pip", "tensorrt_rtx": "rtx"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolkit:
    """A TensorRT that may be touched.

    Attributes:
        name: of its Python module.
        trt: the module.
        version: as it says it; part of what engines are kept under, and decides nothing.
        driver: what was found before the module was imported; ``None`` if no GPU is needed.
    """

    name: ToolkitName
    trt: Any
    version: str
    driver: Driver | None

    @property
    def compiles_ahead(self) -> bool:
        """Whether it can compile for a GPU that is not here."""
        return hasattr(self.trt, "ComputeCapability") and all(
            hasattr(self.trt.IBuilderConfig, name)
            for name in ("num_compute_capabilities", "set_compute_capability")
        )


def open_toolkit(name: ToolkitName, *, needs_gpu: bool = True) -> Toolkit:
    """Import a TensorRT, after the driver has answered.

    Args:
        name: which.
        needs_gpu: false only to compile ahead of time, with ``tensorrt_rtx``; ``tensorrt``
            always needs one.

    Raises:
        IncompatibleError: no driver or no GPU (see `mmedge.engines.driver.probe`), the package
            is broken, or it is a part of TensorRT that builds nothing.
        MissingDependencyError: the package is not installed.
    """
    driver = probe() if needs_gpu or name == "tensorrt" else None
    module = _import(name)
    if missing := [each for each in ("Builder", "OnnxParser") if not hasattr(module, each)]:
        raise IncompatibleError(
            f"the package {name!r} here has no {missing[0]}: it is a part of TensorRT that only "
            f"runs engines. Install all of it: pip install 'mmedge[{_EXTRAS[name]}]'"
        )
    version = str(getattr(module, "__version__", "unknown"))
    return Toolkit(name=name, trt=module, version=version, driver=driver)


def installed_toolkit() -> ToolkitName:
    """Give the TensorRT that is installed: the whole one before TensorRT-RTX, none imported."""
    rtx_alone = not is_installed("tensorrt") and is_installed("tensorrt_rtx")
    return "tensorrt_rtx" if rtx_alone else "tensorrt"


def is_installed(name: ToolkitName) -> bool:
    """Tell whether a TensorRT is installed; it is not imported."""
    return importlib.util.find_spec(name) is not None


def _import(name: ToolkitName) -> Any:
    try:
        return require(name, extra=_EXTRAS[name], why="an engine")
    except MissingDependencyError as exc:
        if name == "tensorrt":
            raise MissingDependencyError(
                f"{exc}. A Jetson has it outside of the environment: make that with "
                "'python3 -m venv --system-site-packages'"
            ) from exc
        raise
    except (ImportError, OSError) as exc:  # it loads its libraries when it is imported
        raise IncompatibleError(
            f"the package {name!r} is installed, but cannot be loaded: {exc}. Install it again, "
            "for the CUDA that the driver here runs; 'mmedge doctor' compares them."
        ) from exc
