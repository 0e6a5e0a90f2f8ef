"""Nodes whose small values decide: logarithms, roots and divisors, and what leads to them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import NodeProto

from mmedge.calibration.rewrite.fp16.look import Look
from mmedge.calibration.rewrite.fp16.numbers import NORMAL
from mmedge.calibration.rewrite.fp16.operators import LINEAR, MOVES, NEEDS_SMALL, STATISTICS
from mmedge.calibration.rewrite.fp16.typed import float_inputs

__all__ = ["need_small"]


def need_small(look: Look) -> dict[str, str]:
    """Give the nodes that FP16 would cost their small values, where those decide: name -> why."""
    found: dict[str, str] = {}
    for node in look.graph.nodes:
        index = NEEDS_SMALL.get(node.op_type, 0 if _is_power(node, look) else None)
        if index is None or not _unsafe(node.input[index], look):
            continue
        found.setdefault(node.name, f"{node.op_type} needs its input's small values")
        why = f"small values decide in {node.name}"
        for before in _leading_to(node.input[index], node.op_type == "Log", look):
            found.setdefault(before.name, why)
    return found


def _leading_to(value: str, through_layers: bool, look: Look) -> Iterator[NodeProto]:
    """Nodes that hand small values on, back to where they matter less."""
    seen: set[str] = set()
    waiting = [value]
    while waiting:
        node = look.graph.producers.get(waiting.pop())
        if node is None or node.name in seen:
            continue
        if (through_layers and node.op_type in LINEAR) or _is_statistic(node, look):
            seen.add(node.name)
            yield node
            waiting.extend(name for _, name in float_inputs(node, look.types))


def _is_statistic(node: NodeProto, look: Look) -> bool:
    """Whether it belongs to a variance, a length or a count; a residual sum does not."""
    if node.op_type != "Add":
        return node.op_type in STATISTICS
    makers = [look.graph.producers.get(name) for name in node.input]
    return all(each is None or each.op_type in ("Mul", "Pow") for each in makers) or any(
        name in look.graph.constants for name in node.input
    )


def _is_power(node: NodeProto, look: Look) -> bool:
    """Whether it is a root: a power that is no whole number, or below 0."""
    if node.op_type != "Pow":
        return False
    exponent = look.graph.constant(node.input[1])
    return exponent is None or bool(np.any((exponent < 0) | (exponent % 1 != 0)))


def _unsafe(value: str, look: Look) -> bool:
    """Whether FP16 may lose or turn to 0 what this value is at its smallest."""
    if value in look.graph.constants:
        return False
    seen = look.ranges.get(value)
    return seen is None or seen.least < NORMAL or _is_guarded(value, look)


def _is_guarded(value: str, look: Look) -> bool:
    """Whether an epsilon that FP16 cannot hold keeps it from 0, in samples yet to come."""
    node = look.graph.producers.get(value)
    if node is None:
        return False
    if node.op_type in ("Add", "Clip", "Max"):
        constants = [look.graph.constant(name) for name in node.input if name]
        return any(
            each is not None and each.size == 1 and 0 < np.abs(each).max() < NORMAL
            for each in constants
        )
    return node.op_type in MOVES | {"Sqrt"} and any(
        _is_guarded(name, look) for _, name in float_inputs(node, look.types)
    )
