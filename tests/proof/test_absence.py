from __future__ import annotations

from dataclasses import replace

import numpy as np

from mmedge.proof.absence import cost_of_absence
from mmedge.proof.trust import load_golden
from mmedge.specs import Classification, Regression
from tests.fakes import linear_bundle

FAR = 60.0  # a softmax of 1 and 0 to the last bit


def test_the_cost_of_an_absence_is_how_far_the_scores_move() -> None:
    golden = load_golden(linear_bundle(2, samples=2))
    # The subsets are ant+bee, ant, bee, nothing; two samples, one quantity.
    outputs = {"level": np.float32([[[1], [3]], [[1], [3]], [[2], [3]], [[0], [0]]])}
    task = Regression(names=("level",), units=("m",), scale=2.0, offset=10.0)
    assert cost_of_absence(replace(golden, outputs=outputs), {"level": task}) == [
        {"present": "ant+bee", "task": "level", "change": 0.0},
        {"present": "ant", "task": "level", "change": 0.0},
        {"present": "bee", "task": "level", "change": 1.0},
        {"present": "nothing", "task": "level", "change": 4.0},
    ]


def test_agreement_is_the_share_of_samples_whose_winner_stays() -> None:
    golden = load_golden(linear_bundle(1, samples=2))
    outputs = {"side": np.float32([[[FAR, 0], [0, FAR]], [[FAR, 0], [FAR, 0]]])}
    tasks = {"side": Classification(labels=("left", "right"))}
    assert cost_of_absence(replace(golden, outputs=outputs), tasks) == [
        {"present": "ant", "task": "side", "change": 0.0, "agreement": 1.0},
        {"present": "nothing", "task": "side", "change": 0.5, "agreement": 0.5},
    ]
