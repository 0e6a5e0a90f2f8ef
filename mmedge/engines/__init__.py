"""Engines: a plan of a bundle compiled by TensorRT for one GPU, checked, audited and kept.

The way of the data: `driver` (is there a GPU?) -> `toolkit` (TensorRT or TensorRT-RTX) ->
`profiles` and `checks` (what would be refused late, refused first) -> `builder` -> `layers` and
`audit` (what was promised against what was built) -> `cache`; `building` walks it for a bundle.
Nothing of CUDA or TensorRT is touched before the driver has answered.
"""

from __future__ import annotations

from mmedge.engines.building import BuildReport, EngineReport, build_engines
from mmedge.engines.config import BuildConfig
from mmedge.engines.driver import Driver, Gpu, probe
from mmedge.engines.profiles import Profile, Shapes
from mmedge.engines.toolkit import Toolkit, open_toolkit

__all__ = [
    "BuildConfig",
    "BuildReport",
    "Driver",
    "EngineReport",
    "Gpu",
    "Profile",
    "Shapes",
    "Toolkit",
    "build_engines",
    "open_toolkit",
    "probe",
]
