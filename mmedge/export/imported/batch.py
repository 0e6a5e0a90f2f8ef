"""Make the batch of an imported graph free, where the file fixed it to 1.

Exporters write sizes as constants: a flatten becomes a Reshape to ``[1, 512]``, a recurrent
network starts from zeros of ``[1, 1, H]``, a class token stands ready for one row. These
are put right here. Whether the result is right is not concluded but proven.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from mmedge.export.imported.folding import constants_of

__all__ = ["free_batch"]

MAX_ROUNDS = 200
Shape = list[int | None]


def free_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite nodes that hold the batch at 1.

    Args:
        model: only the batch of its inputs is symbolic.

    Returns:
        the model, changed as far as these rules reach.
    """
    _forget_shapes(model.graph)
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in fixed.graph.input:
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_value = 1
    ones = _shapes(fixed)
    for _ in range(MAX_ROUNDS):  # what one change lets through shows in the next round
        if not _rewrite(model.graph, _shapes(model), ones):
            break
    return model


def _forget_shapes(graph: onnx.GraphProto) -> None:
    """What was inferred for a fixed batch must not be taken for declared."""
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")


def _shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """Infer every value's shape; ``None`` stands for a size that depends on the batch."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    found: dict[str, Shape] = {}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        if value.type.tensor_type.HasField("shape"):
            dims = value.type.tensor_type.shape.dim
            found[value.name] = [d.dim_value if d.HasField("dim_value") else None for d in dims]
    return found


def _rewrite(graph: onnx.GraphProto, shapes: dict[str, Shape], ones: dict[str, Shape]) -> bool:
    known = constants_of(graph)
    changed = False
    for node in list(graph.node):
        if node.op_type == "Reshape":
            changed |= _reshape(graph, node, known.get(node.input[1]), shapes, ones)
        elif node.op_type in ("LSTM", "GRU", "RNN") and None in shapes.get(node.input[0], []):
            for slot in range(5, len(node.input)):
                if node.input[slot] in known:
                    _start(graph, node, slot, known[node.input[slot]])
                    changed = True
        elif node.op_type == "Concat":
            changed |= _concat(graph, node, known, shapes)
    return changed


def _axis(shape: Shape | None) -> int | None:
    """Find the batch, if exactly one size depends on it."""
    return shape.index(None) if shape is not None and shape.count(None) == 1 else None


def _reshape(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    target: NDArray[np.generic] | None,
    shapes: dict[str, Shape],
    ones: dict[str, Shape],
) -> bool:
    """Write a target whose sizes are all known but the batch's, which is what is left over."""
    axis, sizes = _axis(shapes.get(node.input[0])), ones.get(node.output[0])
    source = ones.get(node.input[0])
    if axis is None or sizes is None or source is None or None in (*sizes, *source):
        return False
    place = _place(math.prod(map(int, filter(None, source[:axis]))), [int(s or 0) for s in sizes])
    free = np.array([-1 if index == place else size for index, size in enumerate(sizes)], np.int64)
    if target is not None and np.array_equal(target, free):
        return False
    node.input[1] = _constant(graph, f"{node.output[0]}_free", free)
    return True


def _place(before: int, sizes: list[int]) -> int:
    """Which size of a Reshape's target takes the batch.

    Args:
        before: product of the sizes that stand before the batch in what is reshaped.
        sizes: the target for a batch of 1.
    """
    for index, size in enumerate(sizes):
        if size == 1 and math.prod(sizes[:index]) == before:
            return index
    # It is merged with its neighbour: [B, T, D] to [B * T, D].
    return next(
        (i for i in range(len(sizes)) if math.prod(sizes[: i + 1]) >= before), len(sizes) - 1
    )


def _start(
    graph: onnx.GraphProto, node: onnx.NodeProto, slot: int, value: NDArray[np.generic]
) -> None:
    """Let a recurrent network start from the same values in every row."""
    if not value.any():
        node.input[slot] = ""  # zeros are what it starts from anyway
        return
    # X is [T, B, D], the start [directions, B, H].
    node.input[slot] = _expand(graph, node, node.input[slot], value.shape, (node.input[0], 1))


def _concat(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    known: dict[str, NDArray[np.generic]],
    shapes: dict[str, Shape],
) -> bool:
    along = node.attribute[0].i
    moving = [name for name in node.input if None in shapes.get(name, [])]
    axis = _axis(shapes.get(moving[0])) if moving else None
    if axis is None or along % len(shapes[moving[0]]) == axis:
        return False
    changed = False
    for index, name in enumerate(node.input):
        if name in known and known[name].shape[axis] == 1:
            shape = known[name].shape
            node.input[index] = _expand(graph, node, name, shape, (moving[0], axis))
            changed = True
    return changed


def _expand(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    name: str,
    shape: tuple[int, ...],
    like: tuple[str, int],
) -> str:
    """Repeat a constant as often as ``like``, a value and its axis, is long, before ``node``."""
    source, axis = like
    base = f"{node.output[0]}_{name}"
    parts = [
        _constant(graph, f"{base}_before", np.array(shape[:axis], np.int64)),
        f"{base}_batch",
        _constant(graph, f"{base}_after", np.array(shape[axis + 1 :], np.int64)),
    ]
    nodes = [
        helper.make_node("Shape", [source], [parts[1]], start=axis, end=axis + 1),
        helper.make_node("Concat", parts, [f"{base}_shape"], axis=0),
        helper.make_node("Expand", [name, f"{base}_shape"], [f"{base}_rows"]),
    ]
    at = list(graph.node).index(node)
    for new in nodes:
        new.name = f"{node.name.rpartition('/')[0]}/{new.op_type}"
        graph.node.insert(at, new)
        at += 1
    return f"{base}_rows"


def _constant(graph: onnx.GraphProto, name: str, value: NDArray[np.int64]) -> str:
    graph.initializer.append(numpy_helper.from_array(value, name))
    return name
