"""Which nodes stay in FP32, and why, each looked at by itself."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from onnx import NodeProto

from mmedge.calibration.layers import KINDS, RECURRENT
from mmedge.calibration.rewrite.fp16.look import Look
from mmedge.calibration.rewrite.fp16.numbers import (
    LARGEST,
    NORMAL,
    ROOM,
    fault_of,
    lost_channels,
    scales_fit,
)
from mmedge.calibration.rewrite.fp16.operators import COMPUTE, MAKERS, MOVES, SUMS
from mmedge.calibration.rewrite.fp16.origins import Origin
from mmedge.calibration.rewrite.fp16.small import need_small
from mmedge.calibration.rewrite.fp16.typed import float_inputs, float_outputs

__all__ = ["reasons_of"]


def reasons_of(look: Look) -> dict[str, str]:
    """Give the nodes that compute floats and must do so in FP32: name -> why."""
    front = look.graph.front_end()
    small = need_small(look)
    found: dict[str, str] = {}
    for node in look.graph.nodes:
        if not any(float_outputs(node, look.types)):
            continue
        if node.name in front:
            found[node.name] = "front-end"
        elif node.name in small:
            found[node.name] = small[node.name]
        elif why := _judge(node, look):
            found[node.name] = why
    return found


def _judge(node: NodeProto, look: Look) -> str:
    origin = look.origins[node.output[0]]
    if node.op_type == "DequantizeLinear" and origin is Origin.DATA:
        scale = look.graph.constant(node.input[1])
        fits = scale is not None and scales_fit(scale)
        return "" if fits else f"a scale that FP16 does not hold: {node.input[1]}"
    if node.op_type in MAKERS or origin is Origin.CONSTANT:
        return ""  # they go with who takes them
    if origin is Origin.LOGIC:
        return "" if node.op_type in MOVES else "a mask, a count or a position"
    if node.op_type not in COMPUTE | MOVES | set(RECURRENT):
        return f"{node.op_type} is not computed in FP16"
    return next((why for check in _CHECKS if (why := check(node, look))), "")


def _range(node: NodeProto, look: Look) -> str:
    taken = [name for _, name in float_inputs(node, look.types)]
    made = [name for _, name in float_outputs(node, look.types)]
    for name in (*made, *taken):
        if name in look.graph.constants:
            continue
        seen = look.range_of(name)
        if seen is None:
            return f"the range of {name} was not observed"
        if fault := fault_of(seen):
            return fault if name in made else f"takes {name}: {fault}"
    return ""


def _constants(node: NodeProto, look: Look) -> str:
    for index, name in float_inputs(node, look.types):
        value = look.graph.constant(name)
        if value is None or not value.size or name in look.masks:
            continue
        if node.op_type == "Clip" and np.any(np.abs(value) > ROOM):
            continue  # a bound that nothing reaches
        largest = float(np.max(np.abs(value)))
        if largest > LARGEST:
            return f"{name} reaches {largest:.3g}; FP16 ends at {LARGEST:,.0f}"
        if 0 < largest < NORMAL and (value.size == 1 or (index == 1 and node.op_type in KINDS)):
            return f"{name} is {largest:.3g}; FP16 loses precision below {NORMAL:.1e}"
    return ""


def _weights(node: NodeProto, look: Look) -> str:
    weight = look.graph.constant(node.input[1]) if node.op_type in KINDS else None
    taken = look.range_of(node.input[0])
    if weight is None or weight.ndim < 2 or taken is None:
        return ""
    bias = look.graph.constant(node.input[2]) if len(node.input) > 2 else None
    axis = _output_axis(node, weight.ndim)
    fits = bias is not None and bias.size == weight.shape[axis]
    lost = lost_channels(weight, bias if fits else None, axis, taken.largest)
    return f"FP16 rounds {lost} channels of {node.input[1]} by more than 1 %" if lost else ""


def _output_axis(node: NodeProto, rank: int) -> int:
    """Axis of a weight along which the output channels lie."""
    if node.op_type == "MatMul":
        return rank - 1
    turned = any(each.name == "transB" and each.i for each in node.attribute)
    return 1 if node.op_type == "ConvTranspose" or (node.op_type == "Gemm" and not turned) else 0


def _sums(node: NodeProto, look: Look) -> str:
    """A sum may pass FP16's range on its way, even if its mean does not."""
    taken = look.range_of(node.input[0])
    if node.op_type not in SUMS or taken is None:
        return ""
    addends = _addends(node, look)
    if addends * taken.largest > LARGEST:
        return f"sums {addends} values up to {taken.largest:.3g}; FP16 ends at {LARGEST:,.0f}"
    return ""


def _addends(node: NodeProto, look: Look) -> int:
    if node.op_type in ("Mean", "Sum"):
        return len(node.input)
    if node.op_type == "AveragePool":
        return math.prod(next(e.ints for e in node.attribute if e.name == "kernel_shape"))
    made = math.prod(look.shapes[node.output[0]])
    return math.prod(look.shapes[node.input[0]]) // max(made, 1)


def _states(node: NodeProto, look: Look) -> str:
    """What goes from step to step is not seen; an LSTM's cell grows by at most 1 in each."""
    if node.op_type not in RECURRENT:
        return ""
    if any(each.name == "activations" and each.strings for each in node.attribute):
        named = {bytes(s) for e in node.attribute if e.name == "activations" for s in e.strings}
        if not named <= {b"Sigmoid", b"Tanh"}:
            return "a state that nothing bounds"
    steps = look.shapes[node.input[0]][0]
    return f"a state that may grow in each of {steps} steps" if steps > ROOM else ""


_CHECKS: tuple[Callable[[NodeProto, Look], str], ...] = (
    _range,
    _constants,
    _weights,
    _sums,
    _states,
)
