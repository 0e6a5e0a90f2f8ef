"""The whole calibration of a model whose encoder remembers, and whose task is a number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from mmedge.bundle import open_bundle, save_bundle
from mmedge.calibration import CalibrateConfig, Calibration, calibrate
from mmedge.proof import verify
from tests.fakes import onnx_model, with_graph
from tests.remembering import BEGIN, WINDOW, remembering_bundle

LENGTHS = (1, 2, 5)
"""Windows of the clips; the answer is the sum of all samples of all windows, and `BEGIN`."""


def encoder() -> bytes:
    """The sum of all samples so far, as two products with matrices."""
    node = helper.make_node
    return onnx_model(
        [
            node("MatMul", ["samples", "ones"], ["told"], name="told"),
            node("Add", ["state_sum", "told"], ["next_sum"], name="sum"),
            node("MatMul", ["next_sum", "one"], ["embedding"], name="same"),
        ],
        {"samples": ["batch", WINDOW], "state_sum": ["batch", 1]},
        {"embedding": ["batch", 1], "next_sum": ["batch", 1]},
        {"ones": np.ones((WINDOW, 1), np.float32), "one": np.ones((1, 1), np.float32)},
    )


def clips(labelled: bool) -> Callable[[], Iterator[Any]]:
    def some() -> Iterator[Any]:
        random = np.random.default_rng(0)
        for number in range(90):
            length = WINDOW * LENGTHS[number // 6 % len(LENGTHS)]
            samples = random.uniform(0, 1, length).astype(np.float32)
            labels = {"sum": BEGIN + float(samples.sum())} if labelled else {}
            yield {"ear": samples}, labels, {"speaker": f"speaker {number % 6}"}

    return some


def run(folder: Path, **changes: Any) -> Calibration:
    save_bundle(with_graph(remembering_bundle(), "ear", encoder()), folder / "ear.mmedge")
    labelled = changes.pop("labelled", True)
    options = {"max_drop": 10.0, "precision": "int8", **changes}
    return calibrate(CalibrateConfig(bundle=folder / "ear.mmedge", data=clips(labelled), **options))


@pytest.mark.parametrize(("labelled", "metric"), [(True, "relative_mae"), (False, "change")])
def test_the_windows_of_a_clip_run_in_order_through_every_stage(
    tmp_path: Path, labelled: bool, metric: str
) -> None:
    found = run(tmp_path, labelled=labelled)
    assert found.unlabelled == (() if labelled else ("sum",))
    for outcome in found.outcomes:
        assert outcome.plan == f"int8_{outcome.target}", outcome.verdict
        assert outcome.searched is not None
        assert outcome.searched.share == 1
        assert outcome.searched.drops["sum"].metric == metric
        assert 0 < outcome.searched.drops["sum"].value < 5
        # What is remembered counts: five windows sum up to at most BEGIN + 5 x 4.
        seen = {each.value: each.histogram for each in outcome.watched["ear"]}
        assert BEGIN + 8 < seen["next_sum"].maximum < BEGIN + 20
        # Every window of every clip of the part was seen, not only the last.
        assert seen["next_sum"].total > found.samples["ranges"]
    bundle = open_bundle(tmp_path / "ear.mmedge")
    for plan in ("int8_tensorrt", "int8_cpu"):
        assert verify(bundle, plan=plan).passed
    assert found.samples["ranges"] + found.samples["search"] + found.samples["report"] == 90


def test_too_little_to_lose_is_refused_with_the_task_and_its_metric(tmp_path: Path) -> None:
    with pytest.raises(
        Exception, match=r"no plan stays within 0\.001 points.*relative_mae of 'sum'"
    ):
        run(tmp_path, max_drop=0.001)
