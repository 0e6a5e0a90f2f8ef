"""From a search's end to a plan: what is slower is left out, what is refuted is not shipped."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from mmedge.calibration.candidate import Candidate
from mmedge.calibration.config import CalibrateConfig
from mmedge.calibration.finishing import _only_faster
from mmedge.calibration.latency import Ratio
from mmedge.calibration.search import Found
from mmedge.calibration.targeting import Searched, TargetSearch
from mmedge.calibration.trial import Trial
from mmedge.proof.paired import Drop

CANDIDATE = Candidate(
    int8={"camera": frozenset({"first", "second"}), "mic": frozenset({"only"})}, methods={}
)


def trial(candidate: Candidate, bound: float) -> Trial:
    return Trial(
        candidate=candidate,
        drops={"digit": Drop(metric="accuracy", value=0.1, bound=bound, samples=5000)},
        subsets={},
        int8={name: tuple(sorted(each)) for name, each in candidate.int8.items() if each},
        share=0.5,
        max_drop=1.0,
    )


@dataclass
class Search:
    """A search of made up latencies, in which every candidate has the same bound."""

    config: CalibrateConfig
    ratios: dict[str, float]
    bound: float = 0.5
    tried: list[Candidate] = field(default_factory=list)

    def time(self, name: str, *_: object) -> Ratio:
        return Ratio(median=self.ratios[name], ms=self.ratios[name], reference_ms=1.0)

    def attempt(self, candidate: Candidate) -> Trial:
        self.tried.append(candidate)
        return trial(candidate, self.bound)


def ended(bound: float, **changes: Any) -> Found:
    first = replace(trial(CANDIDATE, bound), **changes)
    return Found(trial=first, restored=(), trials=(first,))


def without_slow(search: Search, found: Found) -> tuple[Searched, Found]:
    before = {"camera": Ratio(median=0.5, ms=0.5, reference_ms=1.0)}  # with all of its layers
    searched = Searched(candidate=CANDIDATE, units=(), found=found, latency=before)
    return _only_faster(cast(TargetSearch, search), searched, found)


@pytest.fixture
def config(tmp_path: Path) -> CalibrateConfig:
    return CalibrateConfig(bundle=tmp_path, data=tmp_path)


def test_an_encoder_that_is_slower_with_layers_restored_is_left_out_and_that_is_tried(
    config: CalibrateConfig,
) -> None:
    search = Search(config, {"camera": 1.2, "mic": 0.5})
    searched, found = without_slow(search, ended(0.5))
    assert found.trial.int8 == {"mic": ("only",)}
    assert [each.candidate for each in found.trials] == [CANDIDATE, *search.tried]
    assert {name: each.median for name, each in searched.latency.items()} == search.ratios
    assert searched.found is found


def test_where_all_are_faster_nothing_more_is_tried(config: CalibrateConfig) -> None:
    search = Search(config, {"camera": 0.9, "mic": 0.5})
    searched, found = without_slow(search, ended(0.5))
    assert (found.trial.candidate, search.tried) == (CANDIDATE, [])
    assert searched.latency["camera"].median == 0.9


@pytest.mark.parametrize("proven", [True, False])
def test_a_proven_plan_stays_where_the_one_without_its_slow_encoder_is_not_proven(
    config: CalibrateConfig, proven: bool
) -> None:
    search = Search(config, {"camera": 1.2, "mic": 0.5}, bound=1.5)
    _, found = without_slow(search, ended(0.5, proven=proven))
    assert found.trial.candidate == CANDIDATE
    assert len(found.trials) == 2


def test_what_is_left_of_slow_encoders_alone_is_fp32_whatever_is_proven_of_it(
    config: CalibrateConfig,
) -> None:
    search = Search(config, {"camera": 1.2, "mic": 1.2}, bound=1.5)
    _, found = without_slow(search, ended(0.5))
    assert found.trial.int8 == {}
