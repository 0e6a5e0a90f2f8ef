"""What is said where there is no plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmedge.calibration.finishing import _unproven
from mmedge.calibration.trial import Trial
from mmedge.proof.paired import Drop
from tests.calibration.test_search import START, trial


def lost(value: float, bound: float, samples: int, discordant: int) -> Trial:
    drop = Drop(metric="accuracy", value=value, bound=bound, samples=samples, discordant=discordant)
    return replace(trial(START, bound), drops={"digit": drop}, max_drop=0.5)


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        (lost(0.0, 0.75, 400, 0), "at most 0.75, and 0.5 are allowed. Give about 600 samples"),
        # Clopper and Pearson: 3.4 of 1,700 lost are at most 8.4, or 0.49 %.
        (lost(0.2, 0.63, 1000, 2), "Give about 1700 samples for that part"),
        # So few that no plan could be proven: what a plan without any loss takes.
        (lost(2.5, 9.0, 40, 1), "Give at least 600 for that part"),
        # Enough, and all that was tried loses too much.
        (lost(1.5, 2.1, 2000, 30), "no plan stays within 0.5 points: the best one loses 1.50"),
        (replace(trial(START, 1.0), drops={}), "answers with NaN or infinity, and fp32 does not"),
    ],
)  # fmt: skip
def test_it_is_said_how_many_samples_it_takes_or_that_none_would_help(
    tried: Trial, words: str
) -> None:
    assert words in _unproven(tried)
