"""TensorRT's backends where there is a GPU: the engine is built just before it is opened."""

from __future__ import annotations

import hashlib
from typing import Any

import onnxruntime as ort

from mmedge.engines.cache import EngineCache
from mmedge.engines.config import BuildConfig
from mmedge.engines.profiles import Profile, Shapes
from mmedge.engines.request import EngineRequest, Place
from mmedge.engines.stored import Built
from mmedge.engines.toolkit import ToolkitName, open_toolkit
from mmedge.runtime.backends.tensorrt import TensorRT, TensorRTRtx

MAX_ROWS = 8


def build(model: bytes, name: ToolkitName) -> None:
    """Build the engine of a graph into the cache."""
    from mmedge.engines.builder import build_engine

    toolkit = open_toolkit(name)
    profile = profile_of(model)
    request = EngineRequest(
        graph="ant",
        model_sha256=hashlib.sha256(model).hexdigest(),
        plan="fp32",
        profile=profile.to_json(),
        flags={},
        place=Place.of(toolkit),
    )

    def compile_it() -> Built:
        compiled = build_engine(
            lambda: model,
            what="graph 'ant'",
            profile=profile,
            config=BuildConfig(),
            toolkit=toolkit,
        )
        return Built(engine=compiled.engine, about={})

    EngineCache().engine(request, compile_it)


def profile_of(model: bytes) -> Profile:
    """1 to `MAX_ROWS` rows of each input."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    inputs = {}
    for each in session.get_inputs():
        rest = tuple(each.shape[1:])
        inputs[each.name] = Shapes(min=(1, *rest), opt=(1, *rest), max=(MAX_ROWS, *rest))
    return Profile(inputs=inputs)


class BuiltFirst(TensorRT):
    """TensorRT's backend, an engine just built."""

    def __init__(self, model: bytes, *, what: str, **options: Any) -> None:
        build(model, self.toolkit)
        super().__init__(model, what=what, **options)


class BuiltFirstRtx(TensorRTRtx):
    """TensorRT-RTX's backend, an engine just built."""

    def __init__(self, model: bytes, *, what: str, **options: Any) -> None:
        build(model, self.toolkit)
        super().__init__(model, what=what, **options)
