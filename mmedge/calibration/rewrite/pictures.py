"""uint8 pictures on the CPU: turned while they are bytes, then made floats in one pass.

What a bundle holds is Cast, Transpose, Mul, Add: TensorRT refuses to transpose uint8. ONNX
Runtime takes a fraction of the time for Transpose, DequantizeLinear, Add. The numbers stay:
``DequantizeLinear`` is the product of a step and its scale in float32 (ONNX,
"DequantizeLinear"), so it equals Mul to the bit, and Div by a constant to a rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from mmedge.calibration.graph import Graph

__all__ = ["transpose_first"]

Floats = NDArray[np.float32]
LEVELS = np.arange(256, dtype=np.float32)


def transpose_first(graph: Graph) -> bool:
    """Rewrite every Cast of a uint8 input that a Transpose and a Mul stand behind.

    Returns:
        Whether anything was changed.
    """
    changed = False
    pictures = [
        each.name
        for each in graph.model.graph.input
        if each.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    ]
    for name in pictures:
        for cast in tuple(graph.consumers.get(name, ())):
            if cast.op_type == "Cast" and _attribute(cast, "to", 0) == onnx.TensorProto.FLOAT:
                changed |= _rewrite(graph, cast)
    return changed


def _rewrite(graph: Graph, cast: onnx.NodeProto) -> bool:
    """Rewrite one chain, in either order of Transpose and Mul, if it is one."""
    chain = [cast]
    for _ in range(2):
        behind = _only_taker(graph, chain[-1])
        if behind is None:
            return False
        chain.append(behind)
    turn, product = sorted(chain[1:], key=lambda each: each.op_type != "Transpose")
    perm = [int(axis) for axis in _attribute(turn, "perm", ())]
    factor = _factor(graph, product)
    if turn.op_type != "Transpose" or factor is None:
        return False
    placed = _placed(factor, len(perm))
    if placed is None or not perm:
        return False
    scale, axis = placed
    if axis is not None and product is chain[1]:
        axis = perm.index(axis)
    zero, output = 0, chain[2].output[0]
    shift = _only_taker(graph, chain[2])
    if shift is not None and axis is None and (found := _zero_point(graph, shift, scale)):
        zero, output = found, shift.output[0]
        chain.append(shift)
    for node in reversed(chain):
        graph.remove(node)
    graph.add("Transpose", [cast.input[0]], f"{turn.name}/uint8", name=turn.name, perm=perm)
    both = [
        graph.add_constant(f"{product.name}/scale", scale),
        graph.add_constant(f"{product.name}/zero", np.full(scale.shape, zero, np.uint8)),
    ]
    given: dict[str, Any] = {} if axis is None else {"axis": axis}
    made = [f"{turn.name}/uint8", *both]
    graph.add("DequantizeLinear", made, output, name=product.name, **given)
    return True


def _only_taker(graph: Graph, node: onnx.NodeProto) -> onnx.NodeProto | None:
    """Give the node that is alone in taking what another makes."""
    takers = graph.consumers.get(node.output[0], [])
    return takers[0] if len(takers) == 1 and node.output[0] not in graph.outputs else None


def _factor(graph: Graph, product: onnx.NodeProto) -> Floats | None:
    """Give the constant that a node multiplies by."""
    if product.op_type == "Mul":
        found = [graph.constant(name) for name in product.input]
        constant = found[0] if found[1] is None else found[1]
        return None if constant is None else np.asarray(constant, np.float32)
    if product.op_type == "Div":
        constant = graph.constant(product.input[1])
        if constant is not None:
            divisor = np.asarray(constant, np.float32)
            usable = np.isfinite(divisor).all() and (divisor != 0).all()
            return np.asarray(1 / divisor, np.float32) if usable else None
    return None


def _placed(factor: Floats, rank: int) -> tuple[Floats, int | None] | None:
    """Give a factor as ``DequantizeLinear`` takes it: one number, or one per index of an axis."""
    if (factor == factor.flat[0]).all():
        return np.asarray(factor.flat[0]), None
    shape = (1,) * (rank - factor.ndim) + factor.shape
    wide = [axis for axis, size in enumerate(shape) if size > 1]
    return (factor.reshape(-1), wide[0]) if len(wide) == 1 else None


def _zero_point(graph: Graph, shift: onnx.NodeProto, scale: Floats) -> int:
    """Give the integer whose subtraction equals an addition behind the scale, bit for bit.

    Returns:
        1..255, proven on all 256 bytes; 0 if there is none.
    """
    constants = [graph.constant(name) for name in shift.input] if shift.op_type == "Add" else []
    given = next((each for each in constants if each is not None), None)
    if given is None or not (given == given.flat[0]).all() or not scale > 0:
        return 0
    offset = np.asarray(given, np.float32).flat[0]
    zero = float(np.rint(-offset / scale))
    same = (LEVELS - np.float32(zero)) * scale == LEVELS * scale + offset
    return int(zero) if 0 < zero <= 255 and same.all() else 0


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    for each in node.attribute:
        if each.name == name:
            return onnx.helper.get_attribute_value(each)
    return default
