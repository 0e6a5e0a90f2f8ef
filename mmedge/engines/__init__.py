"""Engines: a plan of a bundle compiled by TensorRT for one GPU, checked, audited and kept.

The way of the data: `driver` (is there a GPU?) -> `toolkit` (TensorRT or TensorRT-RTX) ->
`profiles` and `checks` (what would be refused late, refused first) -> `builder` -> `audit` (what
was promised against what was built). Nothing of CUDA or TensorRT is touched before the driver
has answered.
"""

from __future__ import annotations

from mmedge.engines.config import BuildConfig
from mmedge.engines.driver import Driver, Gpu, probe
from mmedge.engines.profiles import Profile, Shapes
from mmedge.engines.toolkit import Toolkit, open_toolkit

__all__ = [
    "BuildConfig",
    "Driver",
    "Gpu",
    "Profile",
    "Shapes",
    "Toolkit",
    "open_toolkit",
    "probe",
]
