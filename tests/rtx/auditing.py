"""What TensorRT-RTX made of a graph: the builder's own list of fused layers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import tensorrt_rtx as trt

BATCHES = (1, 2, 8)


@dataclass(frozen=True)
class Fused:
    """One layer of the engine.

    Attributes:
        name: the compiler's.
        kind: its ``LayerType``.
        inputs: types of what it takes that is no constant, such as ``Int8``.
        nodes: names of the graph's nodes that went into it.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    nodes: frozenset[str]

    @property
    def attends(self) -> bool:
        """Whether it is a whole attention: both products and the softmax between them."""
        return self.name.startswith("_gemm_mha")

    @property
    def multiplies(self) -> bool:
        """Whether it is a convolution or a matrix product, and not what comes before or after."""
        return self.attends or self.kind in ("gemm", "correlation") or "_Fc" in self.name


class Log(trt.ILogger):  # type: ignore[misc]  # without stubs
    def __init__(self) -> None:
        super().__init__()
        self.complaints: list[str] = []
        self.layers = ""

    def log(self, severity: Any, message: str) -> None:
        if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR, trt.ILogger.WARNING):
            self.complaints.append(message)
        elif message.startswith("Layers:"):
            self.layers = message


def compile_graph(model: bytes) -> tuple[int, Log]:
    """Compile a strongly typed network for SM86, its batch from 1 to 8.

    Returns:
        size of the engine in bytes (0 if there is none), and what the compiler said.
    """
    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(0)  # strongly typed: TensorRT-RTX knows no other
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model):
        log.complaints = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        return 0, log
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        first, *rest = tuple(tensor.shape)
        assert first == -1, f"the batch of {tensor.name} is not dynamic"
        assert min(rest, default=1) > 0, f"{tensor.name} has another dynamic dimension"
        profile.set_shape(tensor.name, *((batch, *rest) for batch in BATCHES))
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    return (0 if engine is None else engine.nbytes), log


def fused_layers(model: bytes) -> tuple[Fused, ...]:
    """Compile a graph and read the builder's list of layers."""
    size, log = compile_graph(model)
    assert size > 0, log.complaints
    found = []
    for line in log.layers.splitlines():
        match = re.match(
            r"Name: (.*?), LayerType: (\w+), Inputs: \[(.*?)\], (?:Constants|Out)", line
        )
        if match:
            types = re.findall(r"Datatype: (\w+)", match[3])
            nodes = frozenset(re.findall(r"\[ONNX Layer: ([^\]]*)\]", line))
            found.append(Fused(match[1], match[2], tuple(types), nodes))
    assert found, "the compiler listed no layers"
    return tuple(found)
