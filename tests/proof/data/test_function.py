from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.errors import ConfigError
from mmedge.proof.data import Sample, Unread, read_samples
from mmedge.runtime.preprocess import Pcm
from tests.proof.data.making import SIDES, prepared, sound
from tests.remembering import remembering_bundle


def read(*given: Any, **options: Any) -> list[Any]:
    def mine() -> Iterable[Any]:
        return iter(given)

    return list(read_samples(mine, SIDES.manifest, **options))


def test_raws_alone_and_with_labels_and_columns_are_taken() -> None:
    first, second, third = read(
        {"ant": sound(1, 2), "bee": None},
        ({"ant": sound(1, 2)}, {"side": "left"}),
        ({"bee": sound(1, 2)}, {"side": "right"}, {"site": 3}),
    )
    assert (list(first.raws), dict(first.labels), first.where) == (["ant"], {}, "mine, sample 1")
    assert second.labels == {"side": "left"}
    assert third.columns == {"site": "3"}


def test_a_sound_may_be_longer_than_a_window_and_of_another_rate() -> None:
    long, other = read({"ant": sound(1, 2, 3)}, {"ant": Pcm(np.zeros(96, np.float32), 48_000)})
    assert long.raws["ant"].tolist() == [1, 2]
    assert other.raws["ant"].shape == (2,)


def test_an_encoder_that_remembers_hears_all_windows() -> None:
    manifest = remembering_bundle().manifest
    (sample,) = read_samples(lambda: [{"ear": sound(1, 2, 3, 4, 5, 6, 7, 8)}], manifest)
    assert isinstance(sample, Sample)
    assert sample.before["ear"][0].tolist() == [1, 2, 3, 4]
    assert sample.raws["ear"].tolist() == [5, 6, 7, 8]


def test_a_column_tells_the_group_else_what_is_shared(tmp_path: Path) -> None:
    samples = read(*(({"ant": sound(n, 1)}, {}, {"session": f"s{n}"}) for n in range(3)))
    assert [each.group for each in samples] == ["s0", "s1", "s2"]
    one, two, three = prepared(tmp_path, read(*({"ant": sound(n % 2, 1)} for n in range(3)))).groups
    assert one == three != two


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([1, 2], r"sample 1 is \(list\); yield a dict of raw inputs"),
        (({}, {}, {}, {}), r"sample 1 is \(dict, dict, dict, dict\)"),
        ({"cow": sound(1, 2)}, "sample 1: the model has no modality 'cow'; it has ant, bee"),
        (({"ant": sound(1, 2)}, {"up": 1}), "sample 1: the model has no task 'up'; it has side"),
        (({"ant": sound(1, 2)}, {"side": "lft"}), "sample 1: label 'lft' of task 'side' is none"),
        ({"ant": None}, "sample 1: it has none of ant, bee"),
    ],
)
def test_what_is_no_sample_is_refused_by_its_number(given: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read(given)


def test_an_input_that_cannot_be_is_one_sample_less() -> None:
    bad = Pcm(np.float32([np.nan] * 4), 48_000)
    samples = read({"ant": sound(1, 2)}, {"ant": bad})
    assert [type(each) for each in samples] == [Sample, Unread]


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        (tmp_path / "mine.py").write_text(text)
        return f"{tmp_path / 'mine.py'}:clips"

    return write


def test_a_function_in_a_file_is_found_and_called(script: Callable[[str], str]) -> None:
    where = script(
        "import numpy as np\n"
        "def clips():\n"
        "    for n in range(3):\n"
        "        yield {'ant': np.float32([n, 1])}, {'side': 'left'}\n"
    )
    samples = list(read_samples(where, SIDES.manifest))
    assert [each.where for each in samples] == [f"{where}, sample {n}" for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def other(): ...", "mine.py has no function 'clips'"),
        ("import nowhere_at_all", r"cannot be imported: ModuleNotFoundError: .*mine.py, line 1"),
        ("raise SystemExit(2)", r"cannot be imported: SystemExit"),
        (
            "def clips():\n    yield {'ant': 1 / 0}",
            r"clips failed: ZeroDivisionError: division by zero \(mine.py, line 2\)",
        ),
        ("def clips(): return 7", "clips failed: TypeError"),
    ],
)
def test_what_is_wrong_with_it_is_said(script: Callable[[str], str], text: str, told: str) -> None:
    where = script(text)
    with pytest.raises(ConfigError, match=told):
        list(read_samples(where, SIDES.manifest))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file '.*none.py'"):
        read_samples(f"{tmp_path}/none.py:clips", SIDES.manifest)
