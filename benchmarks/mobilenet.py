"""MobileNetV3-small (Howard et al. 2019, table 2), drawn with its normalisations folded in.

0.92 million random weights up to the pooled 576 features, 55 million multiply-accumulates.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto

from benchmarks.live_model import EMBEDDING, LABELS, RAW, SCORES, WIDTH, Drawing

# Size, expanded and output channels, squeeze and excite, hard swish, stride.
BLOCKS = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


def encoder() -> ModelProto:
    """uint8 [B, 224, 224, 3] -> float32 [B, 256], what a fusion head takes."""
    drawing = Drawing(1)
    drawing.linear(_features(drawing), 576, WIDTH, "embedding")
    return drawing.model(RAW["image"], [EMBEDDING])


def classifier() -> ModelProto:
    """The same with a matrix for its answer, as one graph."""
    drawing = Drawing(1)
    value = drawing.linear(_features(drawing), 576, WIDTH)
    drawing.linear(value, WIDTH, len(LABELS), "thing")
    return drawing.model(RAW["image"], [SCORES])


def _features(drawing: Drawing) -> str:
    value = drawing.add("Cast", [RAW["image"][0].name], to=TensorProto.FLOAT)
    value = drawing.add("Mul", [value, drawing.constant(np.float32(1 / 255))])
    value = drawing.add("Transpose", [value], perm=[0, 3, 1, 2])
    value = _conv(drawing, value, 16, 3, 3, strides=[2, 2], pads=[1] * 4)
    value, channels = drawing.add("HardSwish", [value]), 16
    for size, inner, out, excites, hard, stride in BLOCKS:
        begin, swish = value, "HardSwish" if hard else "Relu"
        if inner != channels:
            value = drawing.add(swish, [_conv(drawing, value, inner, channels, 1)])
        spread = {"strides": [stride] * 2, "pads": [size // 2] * 4, "group": inner}
        value = _conv(drawing, value, inner, 1, size, **spread)
        value = drawing.add(swish, [value])
        if excites:
            value = _excited(drawing, value, inner)
        value = _conv(drawing, value, out, inner, 1)
        if stride == 1 and out == channels:
            value = drawing.add("Add", [value, begin])
        channels = out
    value = drawing.add("HardSwish", [_conv(drawing, value, 576, channels, 1)])
    return drawing.add("Flatten", [drawing.add("GlobalAveragePool", [value])])


def _excited(drawing: Drawing, value: str, channels: int) -> str:
    """Squeeze and excite (Hu et al. 2018) to a quarter, rounded to eights."""
    few = max(8, (channels // 4 + 4) // 8 * 8)
    weights = drawing.add("GlobalAveragePool", [value])
    weights = drawing.add("Relu", [_conv(drawing, weights, few, channels, 1)])
    weights = _conv(drawing, weights, channels, few, 1)
    weights = drawing.add("HardSigmoid", [weights], alpha=1 / 6, beta=0.5)
    return drawing.add("Mul", [value, weights])


def _conv(
    drawing: Drawing, value: str, out: int, channels: int, size: int, **options: object
) -> str:
    weight, bias = drawing.weight(out, channels, size, size), np.zeros(out, np.float32)
    return drawing.add("Conv", [value, weight, drawing.constant(bias)], **options)
