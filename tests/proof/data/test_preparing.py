from __future__ import annotations

import resource
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.errors import ConfigError, ResourceError, SourceError
from mmedge.proof.data import Sample, Unread, prepare_samples
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.streams import StreamState
from mmedge.specs import Sound
from tests.proof.data.making import SIDES, prepared, preparer, sound
from tests.remembering import remembering_bundle

LEFT, RIGHT = {"side": "left"}, {"side": "right"}


def some() -> list[Sample]:
    return [
        Sample(where="a", raws={"ant": sound(1, 2), "bee": sound(3, 4)}, labels=LEFT, group="x"),
        Sample(where="b", raws={"ant": sound(5, 6)}, columns={"site": "hall"}, group="y"),
        Sample(where="c", raws={"ant": sound(1, 2)}, labels=RIGHT, group="x"),
        Sample(where="d", raws={"bee": sound(3, 4)}, labels=RIGHT, group="z"),
    ]


def test_samples_are_there_as_the_graphs_take_them(tmp_path: Path) -> None:
    data = prepared(tmp_path, some())
    assert len(data) == 4
    assert data.presence.tolist() == [[True, True], [True, False], [True, False], [False, True]]
    assert data.groups == ["x", "y", "x", "z"]
    assert data.columns == {"site": ["", "hall", "", ""]}
    assert data.skipped == []
    rows, truths = data.truths("side")
    assert (rows.tolist(), truths.tolist()) == ([0, 2, 3], [0, 1, 1])


def test_equal_inputs_are_read_once(tmp_path: Path) -> None:
    data = prepared(tmp_path, some())
    assert (data.unique("ant"), data.unique("bee")) == (2, 1)
    assert data.index("ant").tolist() == [0, 1, 0, -1]
    assert data.index("bee").tolist() == [0, -1, -1, 0]
    ((rows, arrays),) = data.batches("ant")
    assert rows.tolist() == [0, 1]
    assert arrays["samples"].tolist() == [[1, 2], [5, 6]]


def test_batches_give_chosen_inputs_in_their_order_a_few_at_a_time(tmp_path: Path) -> None:
    samples = [Sample(where=str(n), raws={"ant": sound(n, 1)}) for n in range(7)]
    data = prepared(tmp_path, samples)
    batches = [
        (rows.tolist(), arrays["samples"][:, 0].tolist())
        for rows, arrays in data.batches("ant", np.array([6, 1, 2, 5, 0]), batch=2)
    ]
    assert batches == [([6, 1], [6, 1]), ([2, 5], [2, 5]), ([0], [0])]


def test_a_view_numbers_its_samples_and_inputs_from_nought(tmp_path: Path) -> None:
    view = prepared(tmp_path, some()).take([3, 1]).take([1, 0])
    assert view.where == ["b", "d"]
    assert view.groups == ["y", "z"]
    assert view.columns == {"site": ["hall", ""]}
    assert view.index("ant").tolist() == [0, -1]
    ((_, arrays),) = view.batches("ant")
    assert arrays["samples"].tolist() == [[5, 6]]
    rows, truths = view.truths("side")
    assert (rows.tolist(), truths.tolist()) == ([1], [1])
    assert view.truths("side", np.array([0]))[1].tolist() == []


def test_a_view_of_nothing_is_empty(tmp_path: Path) -> None:
    view = prepared(tmp_path, some()).take([])
    assert (len(view), view.unique("ant")) == (0, 0)
    assert list(view.batches("ant")) == []


def chains() -> list[Sample]:
    return [
        Sample(where="a", raws={"ear": sound(3, 0, 0, 0)}, before={"ear": (sound(1, 0, 0, 0),)}),
        Sample(where="b", raws={"ear": sound(1, 0, 0, 0)}),
        Sample(where="c", raws={"ear": sound(1, 0, 0, 0)}, before={"ear": (sound(5, 0, 0, 0),)}),
    ]


def test_the_windows_of_an_encoder_that_remembers_come_in_order(tmp_path: Path) -> None:
    bundle = remembering_bundle()
    data = prepared(tmp_path, chains(), bundle)
    assert data.steps("ear").tolist() == [2, 1, 2]
    sums = np.zeros(3)
    with Predictor(bundle) as predictor:
        for rows, windows in data.walks("ear", batch=8):
            state = StreamState(bundle.manifest, "ear", len(rows))
            for arrays in windows:
                sums[rows] = predictor.encode("ear", arrays, state=state)["ear"][:, 0]
    assert sums.tolist() == [14, 11, 16]  # the state begins as 10


def test_batches_cannot_be_mistaken_for_windows_in_order(tmp_path: Path) -> None:
    data = prepared(tmp_path, chains(), remembering_bundle())
    with pytest.raises(ValueError, match="use walks"):
        list(data.batches("ear"))


def test_without_a_group_what_shares_an_input_stays_together(tmp_path: Path) -> None:
    raws: list[dict[str, Any]] = [
        {"ant": sound(1, 1), "bee": sound(7, 7)},
        {"ant": sound(2, 2), "bee": sound(8, 8)},
        {"ant": sound(1, 1), "bee": sound(9, 9)},
        {"bee": sound(9, 9)},
    ]
    one, two, three, four = prepared(
        tmp_path, [Sample(where=str(n), raws=raw) for n, raw in enumerate(raws)]
    ).groups
    assert one == three == four != two


def test_no_clip_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no clip in the data: nothing is ever calibrated on"):
        prepared(tmp_path, [])


def mixed(good: int, bad: int) -> Iterator[Sample | Unread]:
    for number in range(bad):
        yield Unread(f"line {number}", SourceError("it is cut off"))
    for number in range(good):
        yield Sample(where=f"good {number}", raws={"ant": sound(number, 1)})


def test_a_clip_that_cannot_be_read_is_skipped_and_named(tmp_path: Path) -> None:
    data = prepared(tmp_path, mixed(19, 1))
    assert len(data) == 19
    assert data.skipped == ["line 0: it is cut off"]


def test_more_than_one_in_twenty_is_an_error_that_names_the_first(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"2 of 39 clips cannot be read, more than 5%") as caught:
        prepared(tmp_path, mixed(37, 2))
    assert "line 0: it is cut off" in str(caught.value)
    assert not (tmp_path / "prepared").exists()


def test_a_sound_with_nan_is_a_clip_that_cannot_be_read(tmp_path: Path) -> None:
    bad = Sample(where="x.py, sample 3", raws={"ant": sound(np.nan, 1)})
    data = prepared(tmp_path, [bad, *mixed(30, 0)])
    (told,) = data.skipped
    assert told.startswith("x.py, sample 3: modality 'ant': the sound holds a NaN")
    assert data.unique("ant") == 30


def test_progress_counts_what_was_skipped_too(tmp_path: Path) -> None:
    seen: list[int] = []
    prepare_samples(mixed(20, 1), preparer(SIDES), SIDES.manifest, tmp_path / "new", seen.append)
    assert seen == list(range(1, 22))


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty"):
        prepared(tmp_path, some())
    assert (tmp_path / "prepared" / "mine.txt").read_text() == "mine"


@pytest.fixture
def tiny_files() -> Iterator[None]:
    """No file may grow beyond 64 KiB, which is what a full disk looks like to us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("tiny_files")
def test_a_full_disk_is_said_and_nothing_is_left_behind(tmp_path: Path) -> None:
    samples = (Sample(where=str(n), raws={"ant": sound(n, 1)}) for n in range(20_000))
    with pytest.raises(ResourceError, match=r"the disk of .*prepared is full .*make room"):
        prepared(tmp_path, samples)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Sample]:
        yield from some()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepared(tmp_path, interrupted())
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    bundle = remembering_bundle(sound=Sound(rate_hz=16_000, window_ms=1000, hop_ms=1000))
    raws = np.random.default_rng(2)
    samples = (
        Sample(where=str(n), raws={"ear": raws.random(16_000, np.float32)}) for n in range(500)
    )
    tracemalloc.start()
    data = prepared(tmp_path, samples, bundle)  # 32 MB
    assert sum(len(rows) for rows, _ in data.batches("ear", batch=8)) == 500
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 3_000_000
