"""A model of MobileNet's make, drawn node by node: as a bundle, and as one graph.

Random weights: what is measured does not depend on them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from mmedge.bundle import Bundle, file_ref
from mmedge.manifest import FUSION, GoldenRef, Manifest, Plan
from mmedge.proof.parity import FP32
from mmedge.specs import Classification, GraphSpec, Image, Modality, Sound, TensorSpec

LABELS = tuple(f"class_{index}" for index in range(10))
WIDTH = 256
IMAGE = Image(height=224, width=224, filter="cv2-linear", fit="stretch")
SOUND = Sound(rate_hz=16_000, window_ms=1000, hop_ms=100)
# Output channels and stride of each depthwise separable block (Howard et al. 2017, halved).
BLOCKS = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (256, 1))


class Drawing:
    """Nodes and weights of a graph that grows from its input."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self._random = np.random.default_rng(seed)

    def add(self, operator: str, inputs: Sequence[str], output: str = "", **options: object) -> str:
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **options))
        return output

    def constant(self, array: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, *shape: int) -> str:
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        return self.constant(self._random.normal(0, scale, shape).astype(np.float32))

    def conv(self, value: str, out: int, channels: int, size: int, **options: object) -> str:
        weight = self.weight(out, channels, *([size] * options.pop("dims", 2)))
        return self.add("Relu", [self.add("Conv", [value, weight], **options)])

    def model(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "live",
            [_value(i) for i in inputs],
            [_value(o) for o in outputs],
            self.weights,
        )
        opset = helper.make_opsetid("", 20)
        return helper.make_model(graph, opset_imports=[opset], ir_version=10)


def draw_image(drawing: Drawing, value: str, output: str = "") -> str:
    """uint8 [B, 224, 224, 3] -> float32 [B, 256]."""
    value = drawing.add("Cast", [value], to=TensorProto.FLOAT)
    value = drawing.add("Mul", [value, drawing.constant(np.float32(1 / 255))])
    value = drawing.add("Transpose", [value], perm=[0, 3, 1, 2])
    value = drawing.conv(value, 16, 3, 3, strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 16
    for out, stride in BLOCKS:
        value = drawing.conv(
            value, channels, 1, 3, strides=[stride] * 2, pads=[1, 1, 1, 1], group=channels
        )
        value = drawing.conv(value, out, channels, 1)
        channels = out
    value = drawing.add("GlobalAveragePool", [value])
    return drawing.add("Flatten", [value], output)


def draw_sound(drawing: Drawing, value: str, output: str = "") -> str:
    """float32 [B, 16000] -> float32 [B, 256], by strided convolutions over the samples."""
    axes = drawing.constant(np.array([1], np.int64))
    value = drawing.add("Unsqueeze", [value, axes])
    channels = 1
    for out, size, stride in ((64, 400, 160), (128, 3, 2), (256, 3, 2)):
        weight = drawing.weight(out, channels, size)
        value = drawing.add("Relu", [drawing.add("Conv", [value, weight], strides=[stride])])
        channels = out
    value = drawing.add("GlobalAveragePool", [value])
    return drawing.add("Flatten", [value], output)


DRAWERS = {"image": draw_image, "sound": draw_sound}
RAW = {
    "image": TensorSpec(name="frames", dtype="uint8", shape=("batch", 224, 224, 3)),
    "sound": TensorSpec(name="samples", dtype="float32", shape=("batch", 16_000)),
}
EMBEDDING = TensorSpec(name="embedding", dtype="float32", shape=("batch", WIDTH))
SCORES = TensorSpec(name="thing", dtype="float32", shape=("batch", len(LABELS)))


def encoder(kind: str) -> ModelProto:
    drawing = Drawing(1)
    DRAWERS[kind](drawing, RAW[kind].name, "embedding")
    return drawing.model([RAW[kind]], [EMBEDDING])


def head(names: Sequence[str]) -> ModelProto:
    """The sum of what is present, through a matrix."""
    drawing = Drawing(2)
    present = drawing.add("Cast", ["presence"], to=TensorProto.FLOAT)
    parts = []
    for column, name in enumerate(names):
        index = drawing.constant(np.array([column], np.int64))
        here = drawing.add("Gather", [present, index], axis=1)
        parts.append(drawing.add("Mul", [name, here]))
    drawing.add("MatMul", [drawing.add("Sum", parts), drawing.weight(WIDTH, len(LABELS))], "thing")
    inputs = [EMBEDDING.model_copy(update={"name": name}) for name in names]
    presence = TensorSpec(name="presence", dtype="bool", shape=("batch", len(names)))
    return drawing.model([*inputs, presence], [SCORES])


def monolith(kinds: Sequence[str]) -> ModelProto:
    """All encoders and the head as one graph, as most people export."""
    drawing = Drawing(1)
    parts = [DRAWERS[kind](drawing, RAW[kind].name) for kind in kinds]
    drawing.add("MatMul", [drawing.add("Sum", parts), drawing.weight(WIDTH, len(LABELS))], "thing")
    return drawing.model([RAW[kind] for kind in kinds], [SCORES])


def bundle(modalities: dict[str, Modality]) -> Bundle:
    """A bundle in memory; it holds no golden samples, and cannot be verified."""
    models = {name: encoder(each.kind) for name, each in modalities.items()}
    models[FUSION] = head(list(modalities))
    files = {name: model.SerializeToString() for name, model in models.items()}
    refs = {name: file_ref(name, ".onnx", data) for name, data in files.items()}
    golden = file_ref("golden", ".npz", b"")
    manifest = Manifest(
        mmedge_schema=1,
        name="live",
        made_by={"benchmarks": "1"},
        weights_sha256="0" * 64,
        presence=tuple(modalities),
        modalities=modalities,
        tasks={"thing": Classification(labels=LABELS)},
        graphs={name: _signature(model) for name, model in models.items()},
        plans={"fp32": Plan(precision="fp32", target="any", graphs=refs, tolerances=FP32)},
        golden=GoldenRef(file=golden, samples=1, source="seeded"),
    )
    contents = {refs[name].name: data for name, data in files.items()}
    return Bundle.in_memory(manifest, {**contents, golden.name: b""})


def _signature(model: ModelProto) -> GraphSpec:
    def spec(value: object) -> TensorSpec:
        kind = value.type.tensor_type
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type).name
        sizes = [dim.dim_value for dim in kind.shape.dim][1:]
        return TensorSpec(name=value.name, dtype=dtype, shape=("batch", *sizes))

    return GraphSpec(
        inputs=tuple(map(spec, model.graph.input)), outputs=tuple(map(spec, model.graph.output))
    )


def _value(spec: TensorSpec) -> object:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    return helper.make_tensor_value_info(spec.name, kind, list(spec.shape))
