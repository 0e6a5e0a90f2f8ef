"""Models of MobileNet's, ViT's and MiniLM's make, drawn node by node: as a bundle, as one graph.

Random weights: what is measured does not depend on them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from mmedge.bundle import Bundle, file_ref
from mmedge.manifest import FUSION, GoldenRef, Manifest, Plan
from mmedge.proof.parity import FP32
from mmedge.specs import Classification, GraphSpec, Image, Modality, Sound, TensorSpec, Text

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

    def shape(self, *sizes: int) -> str:
        return self.constant(np.array(sizes, np.int64))

    def linear(self, value: str, size: int, out: int, output: str = "") -> str:
        return self.add("MatMul", [value, self.weight(size, out)], output)

    def norm(self, value: str, size: int) -> str:
        ones, zeros = np.ones(size, np.float32), np.zeros(size, np.float32)
        scales = [self.constant(ones), self.constant(zeros)]
        return self.add("LayerNormalization", [value, *scales])

    def transformer(self, value: str, layers: int, size: int, heads: int, tokens: int) -> str:
        """float32 [B, tokens, size] -> the same (Vaswani et al. 2017, norm first)."""
        split = self.shape(0, tokens, heads, size // heads)
        scale = self.constant(np.float32((size // heads) ** -0.5))
        for _ in range(layers):
            normed = self.norm(value, size)
            parts = []
            for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
                part = self.add("Reshape", [self.linear(normed, size, size), split])
                parts.append(self.add("Transpose", [part], perm=perm))
            weights = self.add("Mul", [self.add("MatMul", parts[:2]), scale])
            mixed = self.add("MatMul", [self.add("Softmax", [weights]), parts[2]])
            mixed = self.add("Transpose", [mixed], perm=[0, 2, 1, 3])
            mixed = self.add("Reshape", [mixed, self.shape(0, tokens, size)])
            value = self.add("Add", [value, self.linear(mixed, size, size)])
            inner = self.linear(self.norm(value, size), size, 4 * size)
            inner = self.linear(self.add("Gelu", [inner]), 4 * size, size)
            value = self.add("Add", [value, inner])
        return value

    def pooled(self, value: str, size: int, output: str) -> str:
        value = self.add("ReduceMean", [value, self.shape(1)], keepdims=0)
        return self.add("MatMul", [value, self.weight(size, WIDTH)], output)

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


def draw_vit(drawing: Drawing, value: str, output: str = "") -> str:
    """uint8 [B, 224, 224, 3] -> float32 [B, 256]; ViT-Ti/16 (Touvron et al. 2021)."""
    value = drawing.add("Cast", [value], to=TensorProto.FLOAT)
    value = drawing.add("Mul", [value, drawing.constant(np.float32(1 / 255))])
    value = drawing.add("Transpose", [value], perm=[0, 3, 1, 2])
    value = drawing.add("Conv", [value, drawing.weight(192, 3, 16, 16)], strides=[16, 16])
    value = drawing.add("Reshape", [value, drawing.shape(0, 192, 196)])
    value = drawing.add("Transpose", [value], perm=[0, 2, 1])
    return drawing.pooled(drawing.transformer(value, 12, 192, 3, 196), 192, output)


def draw_sound(drawing: Drawing, value: str, output: str = "") -> str:
    """float32 [B, 16000] -> float32 [B, 256]: spectrum, 64 bands, four convolutions.

    Half of VGGish's multiplications (Hershey et al. 2017).
    """
    value = drawing.add("Unsqueeze", [value, drawing.shape(1)])
    value = drawing.add("Conv", [value, drawing.weight(514, 1, 400)], strides=[160])
    value = drawing.add("Mul", [value, value])
    value = drawing.add("MatMul", [drawing.weight(64, 514), value])
    value = drawing.add("Add", [drawing.add("Abs", [value]), drawing.constant(np.float32(1e-6))])
    value = drawing.add("Log", [value])
    value = drawing.add("Unsqueeze", [value, drawing.shape(1)])
    channels = 1
    for out, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        value = drawing.conv(value, out, channels, 3, strides=[stride] * 2, pads=[1, 1, 1, 1])
        channels = out
    value = drawing.add("Flatten", [drawing.add("GlobalAveragePool", [value])])
    return drawing.add("MatMul", [value, drawing.weight(channels, WIDTH)], output)


def draw_text(drawing: Drawing, ids: str, mask: str, tokens: int, output: str = "") -> str:
    """int64 [B, tokens] twice -> float32 [B, 256]; MiniLM's six layers of 384."""
    value = drawing.add("Gather", [drawing.weight(len(WORDS), 384), ids])
    counts = drawing.add("Cast", [mask], to=TensorProto.FLOAT)
    counts = drawing.add("Unsqueeze", [counts, drawing.shape(2)])
    value = drawing.add("Mul", [value, counts])
    return drawing.pooled(drawing.transformer(value, 6, 384, 12, tokens), 384, output)


WORDS = ("[PAD]", "[UNK]", "the", "front", "door")
RAW = {
    "image": (TensorSpec(name="frames", dtype="uint8", shape=("batch", 224, 224, 3)),),
    "vit": (TensorSpec(name="frames", dtype="uint8", shape=("batch", 224, 224, 3)),),
    "sound": (TensorSpec(name="samples", dtype="float32", shape=("batch", 16_000)),),
}
TOKENIZER = json.dumps(
    {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {
            "type": "WordLevel",
            "vocab": {word: index for index, word in enumerate(WORDS)},
            "unk_token": "[UNK]",
        },
    }
).encode()
EMBEDDING = TensorSpec(name="embedding", dtype="float32", shape=("batch", WIDTH))
SCORES = TensorSpec(name="thing", dtype="float32", shape=("batch", len(LABELS)))


def inputs(kind: str, tokens: int = 0) -> tuple[TensorSpec, ...]:
    """What an encoder takes; ``tokens`` counts for a text."""
    if kind == "text":
        names = ("ids", "mask")
        return tuple(TensorSpec(name=n, dtype="int64", shape=("batch", tokens)) for n in names)
    return RAW[kind]


def draw(drawing: Drawing, kind: str, tokens: int = 0, output: str = "") -> str:
    """Draw an encoder from its inputs on."""
    if kind == "text":
        return draw_text(drawing, "ids", "mask", tokens, output)
    drawer = {"image": draw_image, "vit": draw_vit, "sound": draw_sound}[kind]
    return drawer(drawing, RAW[kind][0].name, output)


def encoder(kind: str, tokens: int = 0) -> ModelProto:
    drawing = Drawing(1)
    draw(drawing, kind, tokens, "embedding")
    return drawing.model(inputs(kind, tokens), [EMBEDDING])


def head(names: Sequence[str]) -> ModelProto:
    """The sum of what is present, through a matrix."""
    drawing = Drawing(2)
    nothing = drawing.constant(np.float32(0))
    parts = []
    for column, name in enumerate(names):
        index = drawing.constant(np.array([column], np.int64))
        here = drawing.add("Gather", ["presence", index], axis=1)
        parts.append(drawing.add("Where", [here, name, nothing]))
    drawing.add("MatMul", [drawing.add("Sum", parts), drawing.weight(WIDTH, len(LABELS))], "thing")
    inputs = [EMBEDDING.model_copy(update={"name": name}) for name in names]
    presence = TensorSpec(name="presence", dtype="bool", shape=("batch", len(names)))
    return drawing.model([*inputs, presence], [SCORES])


def monolith(kinds: Sequence[str], tokens: int = 0) -> ModelProto:
    """All encoders and the head as one graph, as most people export."""
    drawing = Drawing(1)
    parts = [draw(drawing, kind, tokens) for kind in kinds]
    drawing.add("MatMul", [drawing.add("Sum", parts), drawing.weight(WIDTH, len(LABELS))], "thing")
    return drawing.model([each for kind in kinds for each in inputs(kind, tokens)], [SCORES])


def bundle(modalities: dict[str, Modality], vit: bool = False) -> Bundle:
    """A bundle in memory; it holds no golden samples, and cannot be verified."""
    return make_bundle(modalities, {name: _encoder(each, vit) for name, each in modalities.items()})


def tiny_bundle() -> Bundle:
    """One camera of 8 x 8 pixels, and a matrix for an encoder."""
    drawing = Drawing(1)
    value = drawing.add("Flatten", [drawing.add("Cast", ["frames"], to=TensorProto.FLOAT)])
    drawing.linear(value, 192, WIDTH, "embedding")
    frames = RAW["image"][0].model_copy(update={"shape": ("batch", 8, 8, 3)})
    camera = Image(height=8, width=8, filter="cv2-linear", fit="stretch")
    return make_bundle({"camera": camera}, {"camera": drawing.model([frames], [EMBEDDING])})


def make_bundle(modalities: dict[str, Modality], models: dict[str, ModelProto]) -> Bundle:
    """A bundle in memory of these encoders, without golden samples."""
    models = {**models, FUSION: head(list(modalities))}
    files = {name: model.SerializeToString() for name, model in models.items()}
    refs = {name: file_ref(name, ".onnx", data) for name, data in files.items()}
    golden, words = file_ref("golden", ".npz", b""), file_ref("words", ".json", TOKENIZER)
    manifest = Manifest(
        mmedge_schema=1,
        name="live",
        made_by={"benchmarks": "1"},
        weights_sha256="0" * 64,
        presence=tuple(modalities),
        modalities={
            name: each.model_copy(update={"tokenizer": words.name}) if each.kind == "text" else each
            for name, each in modalities.items()
        },
        tasks={"thing": Classification(labels=LABELS)},
        graphs={name: _signature(model) for name, model in models.items()},
        plans={"fp32": Plan(precision="fp32", target="any", graphs=refs, tolerances=FP32)},
        golden=GoldenRef(file=golden, samples=1, source="seeded"),
        tokenizers={name: words for name, each in modalities.items() if each.kind == "text"},
    )
    contents = {refs[name].name: data for name, data in files.items()}
    return Bundle.in_memory(manifest, {**contents, golden.name: b"", words.name: TOKENIZER})


def _encoder(modality: Modality, vit: bool) -> ModelProto:
    kind = "vit" if vit and modality.kind == "image" else modality.kind
    return encoder(kind, modality.max_tokens if isinstance(modality, Text) else 0)


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
