"""How far a search may go, and how it chooses ranges; candidates are not run, but made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mmedge.calibration.candidate import Candidate, Workshop
from mmedge.calibration.config import CalibrateConfig, Precision, Target
from mmedge.calibration.judging import Judge
from mmedge.calibration.ranges import METHODS, Method
from mmedge.calibration.sensitivity import Unit
from mmedge.calibration.targeting import TargetSearch
from mmedge.calibration.trial import Trial
from tests.calibration.test_finishing import trial

EVEN: Mapping[Method, float] = dict.fromkeys(METHODS, 0.1)


@dataclass(frozen=True, kw_only=True)
class Search(TargetSearch):
    """Keeps what it tried; nothing passes until this many layers are restored."""

    tried: list[Candidate]
    restored: int = 99
    layers: int = 3

    def attempt(self, candidate: Candidate) -> Trial:
        self.tried.append(candidate)
        back = self.layers - len(candidate.int8["camera"])
        return trial(candidate, 0.5 if back >= self.restored else 3.0)


class Few:
    """Says how far a candidate is from float32, by how its ranges are chosen."""

    def __init__(self, noises: Mapping[Method, float]) -> None:
        self.noises = noises

    def noise(self, candidate: Candidate) -> float:
        return self.noises[candidate.methods["camera"]]


def search(
    precision: Precision,
    layers: int,
    *,
    target: Target = "tensorrt",
    noises: Mapping[Method, float] = EVEN,
    late: bool = False,
) -> Search:
    """A camera of so many layers, each of them a unit."""

    def units(chosen: frozenset[str]) -> tuple[Unit, ...]:
        return tuple(Unit(modality="camera", layers=(each,), macs=1) for each in sorted(chosen))

    lowerable = [SimpleNamespace(name=f"layer{number}") for number in range(layers)]
    materials = {"camera": SimpleNamespace(lowerable=lowerable, units=units, model=b"")}
    workshop: Any = SimpleNamespace(target=target, materials=materials, build=lambda each: each)
    return Search(
        workshop=cast(Workshop, workshop),
        judge=cast(Judge, None),
        few=cast(Judge, Few(noises)),
        config=CalibrateConfig(bundle=Path(), data=Path(), precision=precision),
        late=lambda: late,
        say=lambda _: None,
        tried=[],
        layers=layers,
    )


def test_a_mixed_plan_is_never_looked_for_without_any_layer_in_int8() -> None:
    looked = search("mixed", 3)
    found = looked.run().found
    assert found is not None
    assert not found.trial.accepted
    assert [len(each.int8["camera"]) for each in looked.tried] == [2, 1]


@pytest.mark.parametrize(
    ("precision", "layers", "why"),
    [
        ("mixed", 1, "precision mixed takes at least 2 that can be INT8"),
        ("mixed", 0, "there are none"),
        ("int8", 0, "precision int8 takes at least 1 that can be INT8"),
    ],
)
def test_without_the_layers_that_a_precision_takes_nothing_is_tried_and_that_is_said(
    precision: Precision, layers: int, why: str
) -> None:
    looked = search(precision, layers)
    ended = looked.run()
    assert (ended.found, looked.tried) == (None, [])
    assert why in ended.why


def test_all_layers_may_be_restored_where_anything_is_accepted() -> None:
    looked = replace(search("auto", 2), restored=2)
    found = looked.run().found
    assert found is not None
    assert found.trial.int8 == {}


@pytest.mark.parametrize("best", METHODS)
def test_the_ranges_of_least_noise_are_chosen(best: Method) -> None:
    looked = search("int8", 2, noises={**EVEN, best: 0.01})
    assert looked.run().candidate.methods == {"camera": best}


def test_without_time_ranges_are_chosen_without_a_trial() -> None:
    looked = search("int8", 2, noises={**EVEN, "mse": 0.01}, late=True)
    assert looked.run().candidate.methods == {"camera": "min-max"}
