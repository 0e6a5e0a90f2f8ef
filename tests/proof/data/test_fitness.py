from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.errors import ConfigError
from mmedge.proof.data import Sample, refuse_unfit
from mmedge.proof.data.fitness import LEAST
from tests.fakes import linear_bundle
from tests.proof.data.making import prepared, sound

HEARING = linear_bundle(1)


def check(folder: Path, sounds: list[Any]) -> None:
    samples = [Sample(where=str(n), raws={"ant": each}) for n, each in enumerate(sounds)]
    refuse_unfit(prepared(folder, samples, HEARING), HEARING.manifest)


def loud(count: int) -> list[Any]:
    return [sound(0.1 * number, 1) for number in range(count)]


def test_enough_different_sounds_are_taken(tmp_path: Path) -> None:
    check(tmp_path, loud(LEAST))


def test_some_silence_among_them_is_what_a_microphone_hears(tmp_path: Path) -> None:
    check(tmp_path, [sound(0, 0)] * 50 + loud(LEAST))


@pytest.mark.parametrize(
    ("sounds", "told"),
    [
        (loud(LEAST - 1), r"'ant': 7 different input\(s\) in the 7 of 7 clips that have it, and"),
        ([sound(0.5, 0.1)] * 40, r"'ant': 1 different input\(s\) in the 40 of 40 clips"),
        ([sound(0, 0)] * 40, r"'ant': 1 different input\(s\) in the 40 of 40 clips"),
        (
            [sound(level, level) for level in np.linspace(-1, 1, 40)],
            "'ant': 40 of its 40 different inputs are silent or all zero; is the microphone muted",
        ),
        (
            [sound(level, -level) for level in np.linspace(0, 4e-5, 40)],
            "'ant': 40 of its 40 different inputs are silent or all zero",
        ),
    ],
)
def test_too_few_constant_and_silent_sounds_are_refused_with_what_is_needed(
    tmp_path: Path, sounds: list[Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        check(tmp_path, sounds)
    assert f"at least {LEAST}" in str(caught.value).lower()


def test_nan_is_refused_as_sounds_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"40 of 40 clips cannot be read.*\n.*holds a NaN"):
        check(tmp_path, [sound(np.nan, number) for number in range(40)])


def test_a_modality_that_no_clip_has_is_refused(tmp_path: Path) -> None:
    bundle = linear_bundle(2)
    samples = [Sample(where=str(n), raws={"ant": each}) for n, each in enumerate(loud(20))]
    with pytest.raises(ConfigError, match=r"'bee': 0 different input\(s\) in the 0 of 20 clips"):
        refuse_unfit(prepared(tmp_path, samples, bundle), bundle.manifest)
