"""Which nodes compute in FP16: those that may, where that saves more than it casts."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import NodeProto, TensorProto

from mmedge.calibration.layers import KINDS, RECURRENT
from mmedge.calibration.rewrite.fp16.look import Look
from mmedge.calibration.rewrite.fp16.numbers import fault_of, scales_fit
from mmedge.calibration.rewrite.fp16.operators import COMPUTE, LOOKUPS, MAKERS, MOVES
from mmedge.calibration.rewrite.fp16.origins import Origin
from mmedge.calibration.rewrite.fp16.typed import float_inputs, float_outputs

__all__ = ["choose", "scale_fits"]


def choose(look: Look, stays: dict[str, str]) -> frozenset[str]:
    """Choose the nodes that become FP16; whatever else does not is added to ``stays``.

    What only moves values goes with what made them. FP16 that holds no layer and no table is
    given up: casts at its edges would cost more than it saves. What only makes floats (of bools,
    of INT8, of constants, a mask out of two numbers) goes with who takes them.
    """
    while True:
        half = _forward(look, stays)
        alone = [name for part in _parts(look, half) if not _worth(look, part) for name in part]
        if not alone:
            break
        stays.update(dict.fromkeys(alone, "between FP32 neighbours, no layer with it"))
    for node in reversed(tuple(look.graph.nodes)):
        if node.name in stays or not any(float_outputs(node, look.types)):
            continue
        if _is_made(node, look) and _all_take(node, look, half):
            half.add(node.name)
    for node in look.graph.nodes:
        if any(float_outputs(node, look.types)) and node.name not in half:
            stays.setdefault(node.name, "with its FP32 neighbours")
    return frozenset(half)


def scale_fits(node: NodeProto, look: Look) -> bool:
    """Whether the scales of a Q or DQ node are constants that FP16 holds."""
    scale = look.graph.constant(node.input[1])
    return scale is not None and scales_fit(scale)


def _forward(look: Look, stays: dict[str, str]) -> set[str]:
    half: set[str] = set()
    for node in look.graph.nodes:
        if node.name in stays or not any(float_outputs(node, look.types)):
            continue
        if _is_made(node, look):
            fits = node.op_type == "DequantizeLinear" and scale_fits(node, look)
            joins = fits and _is_data(node, look)
        elif node.op_type in (*COMPUTE, *RECURRENT):
            joins = True
        else:
            before = _makers_of(node, look)
            joins = _looks_up(node, look) or any(each.name in half for each in before)
        if joins:
            half.add(node.name)
    return half


def _is_data(node: NodeProto, look: Look) -> bool:
    return look.origins[node.output[0]] is Origin.DATA


def _is_made(node: NodeProto, look: Look) -> bool:
    origin = look.origins[node.output[0]]
    moved = origin is Origin.LOGIC and node.op_type in MOVES  # one constant or another
    return node.op_type in MAKERS or origin is Origin.CONSTANT or moved


def _looks_up(node: NodeProto, look: Look) -> bool:
    return node.op_type in LOOKUPS and look.origins[node.input[0]] is Origin.CONSTANT


def _makers_of(node: NodeProto, look: Look) -> Iterator[NodeProto]:
    for _, name in float_inputs(node, look.types):
        if (before := look.graph.producers.get(name)) is not None:
            yield before


def _parts(look: Look, half: set[str]) -> list[set[str]]:
    """FP16 nodes in groups that no cast divides."""
    nodes = {node.name: node for node in look.graph.nodes}
    beside: dict[str, set[str]] = {name: set() for name in half}
    for name in half:
        for before in _makers_of(nodes[name], look):
            if before.name in half:
                beside[name].add(before.name)
                beside[before.name].add(name)
    parts: list[set[str]] = []
    left = set(half)
    while left:
        waiting = [left.pop()]
        part = set(waiting)
        while waiting:
            fresh = beside[waiting.pop()] - part
            part |= fresh
            waiting.extend(fresh)
        left -= part
        parts.append(part)
    return parts


def _worth(look: Look, part: set[str]) -> bool:
    return any(
        node.op_type in KINDS + RECURRENT or _looks_up(node, look)
        for node in look.graph.nodes
        if node.name in part
    )


def _all_take(node: NodeProto, look: Look, half: set[str]) -> bool:
    """Whether all who take what a node makes take it in FP16, and it fits."""
    for _, value in float_outputs(node, look.types):
        takers = look.graph.consumers.get(value, ())
        if value in look.graph.outputs or not takers:
            return False
        for taker in takers:
            slots = {name for _, name in float_inputs(taker, look.types)}
            if taker.name not in half or value not in slots:
                return False
        seen = look.range_of(value)
        of_bools = look.types.get(node.input[0]) == TensorProto.BOOL
        if not of_bools and (seen is None or fault_of(seen)):
            return False
    return node.op_type != "DequantizeLinear" or scale_fits(node, look)
