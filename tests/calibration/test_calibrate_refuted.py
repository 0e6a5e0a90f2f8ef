"""The part that no decision has seen speaks against a plan, or could not speak at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.bundle import save_bundle
from mmedge.calibration import CalibrateConfig, calibrate
from mmedge.errors import ConfigError, ProofError
from mmedge.proof.data import split
from mmedge.specs import Classification, Matching, Regression, Task
from tests.calibration.test_calibrate import content
from tests.calibration.test_calibrate_tasks import encoder
from tests.fakes import linear_bundle, with_graph

SIDE = Classification(labels=("below", "above"))
PAIR = Matching(between=("ant", "bee"))
LEVEL = Regression(names=("level",), units=("m",))
SPEAKERS = ("ann", "bob", "cid")
COUNT = 120


def parts() -> dict[str, str]:
    """Speaker -> the part that all clips of that speaker are in."""
    groups = [name for name in SPEAKERS for _ in range(COUNT)]
    dealt = split(groups)
    return {groups[getattr(dealt, part)[0]]: part for part in ("ranges", "search", "report")}


def make(folder: Path, task: Task, weights: Any = None) -> Path:
    """A bundle of two sounds; an embedding is twice the sound, kept by a product, and 1."""
    bundle = linear_bundle(2, tasks={"it": task}, weights={} if weights is None else weights)
    for name in ("ant", "bee"):
        bundle = with_graph(bundle, name, encoder())
    save_bundle(bundle, folder / "made.mmedge")
    return folder / "made.mmedge"


def clips(
    label: Callable[[str, float], Any], largest: Callable[[str], float] = lambda _: 1.0
) -> Callable[[], Iterator[Any]]:
    """Clips of each speaker: a number, as large as their part allows, and a 1."""

    def made() -> Iterator[Any]:
        random = np.random.default_rng(0)
        for speaker, part in parts().items():
            for _ in range(COUNT):
                at = float(random.uniform(-1, 1)) * largest(part)
                sound = np.float32([at, 1])
                yield (
                    {"ant": sound, "bee": sound.copy()},
                    {"it": label(part, at)},
                    {"speaker": speaker},
                )

    return made


@pytest.mark.parametrize("target", ["tensorrt", "cpu"])
def test_a_plan_that_fails_on_samples_no_decision_has_seen_is_not_shipped(
    tmp_path: Path, target: Any
) -> None:
    # Below is 2 * (2 + 1) and above 2 x + 1: above from x = 2.5, which INT8 takes for 1.
    ant = [[0, 1], [2, 0]]
    bundle = make(tmp_path, SIDE, {"it": [ant, np.zeros((2, 2))]})
    data = clips(
        lambda _, at: "above" if at > 2.5 else "below",
        lambda part: 10.0 if part == "report" else 1.0,
    )
    before = content(bundle)
    config = CalibrateConfig(
        bundle=bundle, data=data, targets=(target,), max_drop=5.0, precision="int8", minutes=1e-9
    )
    with pytest.raises(ProofError, match=r"loses 0\.00 .* search part loses 42\.50 on samples"):
        calibrate(config)
    assert content(bundle) == before


@pytest.mark.parametrize(
    ("task", "metric", "label"),
    [
        (LEVEL, "relative_mae", lambda part, at: 1.0 if part == "report" else at),
        (PAIR, "roc_auc", lambda part, at: part == "report" or at > 0),
    ],
)
def test_what_the_part_for_proof_cannot_tell_is_refused_before_anything_is_observed(
    tmp_path: Path, task: Task, metric: str, label: Callable[[str, float], Any]
) -> None:
    bundle = make(tmp_path, task)
    stages: list[str] = []
    config = CalibrateConfig(bundle=bundle, data=clips(label), max_drop=50.0, metric=metric)
    with pytest.raises(ConfigError, match=f"part 'report': task 'it': .* cannot tell {metric}"):
        calibrate(config, stages.append)
    assert not any("ranges of" in each for each in stages)
