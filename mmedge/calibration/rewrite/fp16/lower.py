"""Lowers a graph to FP16, but for what FP16 cannot hold.

Computing in FP16 on a CPU cannot show what overflows: ONNX Runtime casts to FP32 inside. What
decides is where values were observed to lie. TensorRT takes the types as they stand in the
graph (strongly typed networks), so the casts written here are what an engine does.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmedge.calibration.graph import Graph
from mmedge.calibration.lowering import Lowered, Range
from mmedge.calibration.rewrite.fp16.casts import write
from mmedge.calibration.rewrite.fp16.chosen import choose
from mmedge.calibration.rewrite.fp16.intervals import with_derived
from mmedge.calibration.rewrite.fp16.look import Look, look_at
from mmedge.calibration.rewrite.fp16.masks import fit_masks
from mmedge.calibration.rewrite.fp16.origins import Origin, origins_of
from mmedge.calibration.rewrite.fp16.stays import reasons_of
from mmedge.calibration.rewrite.fp16.typed import float_outputs, types_of
from mmedge.manifest import Kept

__all__ = ["lower_fp16", "values_to_observe"]

_NOTE = 256


def values_to_observe(model: bytes) -> tuple[str, ...]:
    """Name the values whose ranges `lower_fp16` wants to know, in the graph's order.

    Raises:
        ArtefactError: it is no ONNX file, or its types cannot be inferred.
    """
    graph = Graph(model)
    graph.sort()
    types = types_of(graph)
    origins = origins_of(graph, types)
    made = [value for node in graph.nodes for _, value in float_outputs(node, types)]
    inputs = [name for name in graph.inputs if origins[name] is Origin.DATA]
    return tuple(name for name in (*inputs, *made) if origins[name] is not Origin.CONSTANT)


def lower_fp16(model: bytes, seen: Mapping[str, Range]) -> Lowered:
    """Give the graph with FP16 tensors behind its front-end, wherever their values fit.

    Inputs, outputs and states keep their types. In FP32 stay, each named in ``kept`` with its
    range: the front-end; masks, counts and presence; recurrent layers; what was not observed;
    what passes FP16's range or lies below its precision, in values, weights, constants or
    sums; and whatever leads to a logarithm, a root or a divisor that small values decide.

    Args:
        model: an ONNX file of a bundle; it may hold Q/DQ nodes.
        seen: value of this graph -> the finite extremes ever seen.

    Raises:
        ArtefactError: it is no ONNX file, its types cannot be inferred, or it does not run.
    """
    graph = Graph(model)
    graph.sort()
    types = types_of(graph)
    origins = origins_of(graph, types)
    masks = fit_masks(graph, origins)
    look = look_at(graph, types, origins, with_derived(graph, seen), masks)
    stays = reasons_of(look)
    half = choose(look, stays)
    kept = _kept(look, stays)
    write(look, half)
    return Lowered(model=graph.to_bytes(), int8=(), kept=kept)


def _kept(look: Look, stays: Mapping[str, str]) -> tuple[Kept, ...]:
    return tuple(
        Kept(layer=node.name, precision="fp32", why=_why(look, value, stays[node.name]))
        for node in look.graph.nodes
        if node.name in stays
        for _, value in tuple(float_outputs(node, look.types))[:1]
        if look.origins[value] is not Origin.CONSTANT
    )


def _why(look: Look, value: str, why: str) -> str:
    seen = look.ranges.get(value)
    where = "not observed" if seen is None else f"{seen.low:.3g} to {seen.high:.3g}"
    least = f", from {seen.least:.3g}" if seen is not None and seen.least else ""
    room = _NOTE - len(where) - len(least) - 2
    return f"{why[:room]}; {where}{least}"
