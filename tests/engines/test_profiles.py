from __future__ import annotations

import pytest

from mmedge.bundle import Bundle
from mmedge.engines.config import BuildConfig
from mmedge.engines.profiles import (
    Profile,
    Shapes,
    check_profile,
    make_profiles,
)
from mmedge.errors import ConfigError
from mmedge.runtime.contributions import coalitions
from mmedge.specs.presence import explanation_rows

SAMPLES = Shapes(min=(1, 4), opt=(1, 4), max=(8, 4))


def test_encoders_are_tuned_for_one_row_and_the_head_for_one_explained_answer(
    demo: Bundle,
) -> None:
    profiles = make_profiles(demo.manifest)
    assert set(profiles) == {"camera", "mic", "hint", "fusion"}
    assert profiles["mic"].to_json() == {"samples": [[1, 8000], [1, 8000], [8, 8000]]}
    assert profiles["fusion"].to_json()["presence"] == [[1, 3], [8, 3], [8, 3]]


def test_a_larger_batch_makes_room_in_every_graph(demo: Bundle) -> None:
    profiles = make_profiles(demo.manifest, max_batch=32)
    assert profiles["fusion"].to_json()["presence"] == [[1, 3], [8, 3], [32, 3]]
    assert profiles["mic"].to_json() == {"samples": [[1, 8000], [1, 8000], [32, 8000]]}


@pytest.mark.parametrize("modalities", range(1, 33))
def test_the_head_s_rows_are_those_that_explain_an_answer(modalities: int) -> None:
    assert explanation_rows(modalities) == len(coalitions(modalities))


@pytest.mark.parametrize(
    ("low", "mid", "high"),
    [
        ((4, 4), (1, 4), (8, 4)),  # min > opt
        ((1, 4), (9, 4), (8, 4)),  # opt > max
        ((0, 4), (1, 4), (8, 4)),  # nothing
        ((1, 4), (1, 4), (8,)),  # another rank
    ],
)
def test_shapes_that_do_not_ascend_are_refused(
    low: tuple[int, ...], mid: tuple[int, ...], high: tuple[int, ...]
) -> None:
    with pytest.raises(ConfigError, match="must ascend from min over opt to max"):
        Shapes(min=low, opt=mid, max=high)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "no shapes for the input 'samples'"),
        ({"samples": SAMPLES, "sound": SAMPLES}, "has shapes for 'sound'"),
        ({"samples": Shapes(min=(1, 5), opt=(1, 5), max=(8, 5))}, r"shape \(1, 5\), and"),
        ({"samples": Shapes(min=(1,), opt=(1,), max=(8,))}, r"shape \(1,\), and"),
    ],
)
def test_a_profile_that_does_not_fit_the_graph_is_refused(
    inputs: dict[str, Shapes], words: str
) -> None:
    with pytest.raises(ConfigError, match=f"graph 'mic': .*{words}"):
        check_profile("graph 'mic'", Profile(inputs=inputs), {"samples": (-1, 4)})


def test_a_profile_that_fits_is_taken() -> None:
    check_profile("graph 'mic'", Profile(inputs={"samples": SAMPLES}), {"samples": (-1, 4)})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_batch": 0}, "max_batch=0"),
        ({"workspace_bytes": 1}, "at least 1 MiB"),
        ({"rtx": True, "dla_core": 0, "max_batch": 1}, "have no DLA: leave out rtx"),
        ({"dla_core": 0}, "give max_batch=1"),
        ({"dla_core": -1, "max_batch": 1}, "dla_core=-1"),
        ({"ahead_of_time": "sm87"}, "A Jetson builds its own engines"),
        ({"ahead_of_time": "sm86"}, "need a folder"),
        ({"out": "engines"}, "kept in its cache"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        BuildConfig(**fields)  # type: ignore[arg-type]
