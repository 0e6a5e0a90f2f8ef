"""Layers by themselves: how long each takes in INT8 on this CPU, over float32.

Integer kernels are not faster for every shape. A first convolution of three channels, or a
depthwise one of few, may take several times as long, and leaving those few in float32 can be
worth more than all other INT8 of a small network.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import onnx

from mmedge.calibration.graph import Graph
from mmedge.calibration.layers import Layer, shapes_of
from mmedge.calibration.lowering import Lowering, Range
from mmedge.calibration.rewrite.cpu import lower_cpu
from mmedge.operators import IR_VERSION, OPSET
from mmedge.runtime.backends import Arrays, Backend, open_backend

__all__ = ["fast_kinds", "ratios_alone"]

SLOW = 1.5
"""A layer that alone takes so many times float32's time slows its neighbours' gain too."""

PAIRS = 9
INPUT, OUTPUT = "alone/input", "alone/output"


def fast_kinds(layers: Iterable[Layer], ratios: Mapping[str, float]) -> tuple[frozenset[str], ...]:
    """Give sets of layers, one of which is likely to be the fastest in INT8 on this CPU.

    All that can be INT8; the same without what is `SLOW` alone; of these, each operator by
    itself. Measure each as a whole, since what lies between two layers costs as well.

    Args:
        layers: of one graph.
        ratios: from `ratios_alone`.
    """
    known = [each for each in layers if each.name in ratios]
    fast = [each for each in known if ratios[each.name] < SLOW]
    kinds = dict.fromkeys(each.kind for each in fast)
    sets = [known, fast, *([each for each in fast if each.kind == kind] for kind in kinds)]
    named = [frozenset(each.name for each in chosen) for chosen in sets]
    return tuple(dict.fromkeys(each for each in named if each))


def ratios_alone(
    model: bytes,
    layers: Iterable[Layer],
    *,
    threads: int | None = None,
    late: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Measure each layer that can be INT8 alone, between floats, for one sample.

    What turns floats into integers and back counts, as in float32 what turns them into the
    order of its kernels and back. Layers of one shape are measured once.

    Args:
        model: a ``fp32`` graph of a bundle.
        layers: some of its layers.
        threads: CPU threads inside one operator.
        late: whether the time is up; the rest counts as no slower than float32.

    Returns:
        Name -> latency over float32's, the median of interleaved pairs; without the layers
        that have no INT8 form on the CPU.
    """
    graph = Graph(model)
    nodes = {node.name: node for node in graph.nodes}
    asked = [each for each in layers if each.weight in graph.constants and each.activations]
    shapes = shapes_of(graph, [each.activations[0] for each in asked])
    measured: dict[object, float | None] = {}
    found: dict[str, float] = {}
    for layer in asked:
        node, shape = nodes[layer.name], shapes[layer.activations[0]]
        key = _shape_of(graph, node, shape)
        if key not in measured and late():
            found[layer.name] = 1.0
            continue
        if key not in measured:
            measured[key] = _measure(_one_layer(graph, node, shape), node.name, shape, threads)
        ratio = measured[key]
        if ratio is not None:
            found[layer.name] = ratio
    return found


def _shape_of(graph: Graph, node: onnx.NodeProto, shape: tuple[int, ...]) -> object:
    attributes = sorted(each.SerializeToString(deterministic=True) for each in node.attribute)
    constants = [tuple(graph.constants[name].dims) for name in node.input[1:] if name]
    return node.op_type, shape, tuple(attributes), tuple(constants)


def _one_layer(graph: Graph, node: onnx.NodeProto, shape: tuple[int, ...]) -> bytes:
    """Draw a graph of the layer and a Relu behind it."""
    layer = onnx.NodeProto()
    layer.CopyFrom(node)
    layer.input[0], layer.output[0] = INPUT, "alone/sums"
    relu = onnx.helper.make_node("Relu", ["alone/sums"], ["alone/relu"], name="alone/relu")
    last = onnx.helper.make_node("Identity", ["alone/relu"], [OUTPUT], name="alone/last")
    kind = onnx.TensorProto.FLOAT
    drawn = onnx.helper.make_graph(
        [layer, relu, last],
        "alone",
        [onnx.helper.make_tensor_value_info(INPUT, kind, ["batch", *shape[1:]])],
        [onnx.helper.make_tensor_value_info(OUTPUT, kind, None)],
        [graph.constants[name] for name in node.input[1:] if name],
    )
    opset = [onnx.helper.make_opsetid("", OPSET)]
    made = onnx.helper.make_model(drawn, opset_imports=opset, ir_version=IR_VERSION)
    data: bytes = onnx.shape_inference.infer_shapes(made).SerializeToString()
    return data


def _measure(model: bytes, name: str, shape: tuple[int, ...], threads: int | None) -> float | None:
    given = Range(-3.0, 3.0)
    ranges: Mapping[str, Range] = dict.fromkeys([INPUT, "alone/sums", "alone/relu"], given)
    lowered = lower_cpu(model, Lowering(int8=frozenset({name}), ranges=ranges, weights="min-max"))
    if not lowered.int8:
        return None
    samples = np.random.default_rng(0).standard_normal((1, *shape[1:]), np.float32)
    with (
        open_backend("cpu", model, what="one layer", threads=threads) as exact,
        open_backend("cpu", lowered.model, what="one layer", threads=threads) as integers,
    ):
        feeds = {INPUT: samples}
        pairs = [(_ns(integers, feeds), _ns(exact, feeds)) for _ in range(PAIRS + 2)]
    return statistics.median(mine / other for mine, other in pairs[2:])


def _ns(backend: Backend, feeds: Arrays) -> int:
    begin_ns = time.perf_counter_ns()
    backend.run(feeds)
    return time.perf_counter_ns() - begin_ns
