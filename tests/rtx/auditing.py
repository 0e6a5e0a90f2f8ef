"""What TensorRT-RTX makes of a graph, by mmedge's own builder and audit."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import onnx

from mmedge.engines.audit import Audit, audit, read_promise
from mmedge.engines.builder import Compiled, build_engine
from mmedge.engines.checks import check_graph
from mmedge.engines.config import BuildConfig
from mmedge.engines.graph import PlanGraph
from mmedge.engines.layers import Fused, parse_listing
from mmedge.engines.profiles import Profile, Shapes
from mmedge.engines.toolkit import open_toolkit

BATCHES = (1, 2, 8)
WHAT = "the graph"
NOWHERE = Path("not-written-here")  # only `build_engines` writes


def profile_of(model: bytes) -> Profile:
    """Batches from 1 to 8; nothing else may vary."""
    shapes = {}
    for value in onnx.load_from_string(model).graph.input:
        first, *rest = value.type.tensor_type.shape.dim
        assert first.dim_param, f"the batch of {value.name} is not dynamic"
        sizes = [axis.dim_value for axis in rest]
        assert min(sizes, default=1) > 0, f"{value.name} has another dynamic dimension"
        low, mid, high = ((batch, *sizes) for batch in BATCHES)
        shapes[value.name] = Shapes(min=low, opt=mid, max=high)
    return Profile(inputs=shapes)


def compile_graph(model: bytes, target: str = "sm86", profile: Profile | None = None) -> Compiled:
    """Compile ahead of time, unchecked and unaudited."""
    return build_engine(
        lambda: model,
        what=WHAT,
        profile=profile or profile_of(model),
        config=BuildConfig(ahead_of_time=target, out=NOWHERE),
        toolkit=open_toolkit("tensorrt_rtx", needs_gpu=False),
    )


def audited(
    model: bytes, int8: Collection[str] = (), target: str = "sm86"
) -> tuple[Compiled, Audit]:
    """Check, compile and audit a graph, as `build_engines` does."""
    graph = PlanGraph(model, WHAT)
    check_graph(graph)
    promise = read_promise(graph, int8)
    compiled = compile_graph(model, target)
    found = audit(promise, parse_listing(compiled.layers))
    found.check(WHAT)
    return compiled, found


def fused_layers(model: bytes) -> tuple[Fused, ...]:
    """Compile a graph and read the builder's list of layers."""
    return parse_listing(compile_graph(model).layers)
