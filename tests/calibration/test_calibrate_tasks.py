"""The whole calibration of a model with four tasks, on clips that lack modalities and labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from mmedge.bundle import save_bundle
from mmedge.calibration import CalibrateConfig, calibrate
from mmedge.specs import Classification, Matching, MultiLabel, Raw
from tests.fakes import linear_bundle, onnx_model, with_graph

TASKS = {
    "side": Classification(labels=("left", "right")),
    "pair": Matching(between=("ant", "bee")),
    "tags": MultiLabel(labels=("low", "high"), thresholds=(0.5,)),
    "field": Raw(shape=(2,)),
}


def encoder() -> bytes:
    """What `tests.fakes.encoder_graph` computes, with a product that can be INT8."""
    return onnx_model(
        [
            helper.make_node("Mul", ["samples", "two"], ["front_end"], name="twice"),
            helper.make_node("MatMul", ["front_end", "same"], ["product"], name="product"),
            helper.make_node("Add", ["product", "one"], ["embedding"], name="more"),
        ],
        {"samples": ["batch", 2]},
        {"embedding": ["batch", 2]},
        {"two": np.float32([2]), "same": np.eye(2, dtype=np.float32), "one": np.float32([1])},
    )


def clips() -> Iterator[Any]:
    """Every fifth lacks ant, others bee; every fourth has no label for the side."""
    random = np.random.default_rng(0)
    for number in range(450):
        raws = {name: random.uniform(-1, 1, 2).astype(np.float32) for name in ("ant", "bee")}
        if number % 5 == 0:
            del raws["ant"]
        elif number % 7 == 0:
            del raws["bee"]
        labels: dict[str, Any] = {
            "side": "left" if number % 2 else "right",
            "tags": ["low"] if number % 2 else ["low", "high"][number % 3 :],
            "field": [float(number % 5), 1.0],
        }
        if number % 4 == 0:
            del labels["side"]
        if len(raws) == 2:
            labels["pair"] = bool(number % 2)
        yield raws, labels, {"speaker": f"speaker {number % 9}"}


@pytest.mark.parametrize(
    ("metric", "of_pair"), [(None, "accuracy"), ("recall_at_2", "recall_at_2")]
)
def test_every_task_is_judged_on_the_clips_that_have_its_label(
    tmp_path: Path, metric: str | None, of_pair: str
) -> None:
    bundle = linear_bundle(2, tasks=TASKS)
    for name in ("ant", "bee"):
        bundle = with_graph(bundle, name, encoder())
    save_bundle(bundle, tmp_path / "four.mmedge")
    config = CalibrateConfig(
        bundle=tmp_path / "four.mmedge",
        data=clips,
        max_drop=20.0,
        precision="int8",
        metric=metric,
        minutes=1e-9,
    )
    found = calibrate(config)
    assert found.unlabelled == ()
    assert sum(found.samples.values()) == 450
    for outcome in found.outcomes:
        assert outcome.plan == f"int8_{outcome.target}", outcome.verdict
        assert outcome.searched is not None
        drops = outcome.searched.drops
        assert {task: drop.metric for task, drop in drops.items()} == {
            "side": "accuracy",
            "pair": of_pair,
            "tags": "mean_average_precision",
            "field": "relative_rms",
        }
        assert drops["side"].samples < drops["tags"].samples == found.samples["search"]
        assert outcome.searched.worst_bound <= 20
        assert set(outcome.searched.subsets) == {"ant", "bee"}
