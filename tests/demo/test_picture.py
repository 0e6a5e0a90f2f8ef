from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmedge.demo.picture import draw_demo
from mmedge.demo.picture.answers import (
    Answer,
    Ribbon,
    hop_of,
    joined,
    read_answers,
    read_truth,
)
from mmedge.demo.picture.canvas import INK, RIGHT, WRONG, Canvas
from mmedge.demo.picture.media import film_strip, loudness
from mmedge.demo.picture.proofs import chosen_subsets
from mmedge.demo.picture.timeline import Timeline
from mmedge.proof import Finding, Parity, SubsetMetrics
from mmedge.proof.parity import FP32
from mmedge.runtime.offline import FilePrediction
from mmedge.runtime.prediction import Prediction, TaskPrediction
from tests.runtime.media import grey, ramp, steady, write_media

S = 1_000_000_000
NAMES = ("camera", "mic", "hint")
TRUTH = [
    {"begin_ms": 0, "end_ms": 1000, "label": "three"},
    {"begin_ms": 1000, "end_ms": 2000, "shown": "two", "spoken": "eight", "label": None},
]


def said(
    end_ms: int,
    label: str | None,
    *,
    conflict: float = 0.0,
    names: Sequence[str] = NAMES,
    share: float = 0.2,
) -> FilePrediction:
    """A window's prediction, as the offline walk gives it."""
    answer = TaskPrediction(
        scores={label or "three": 0.9, "other": 0.1},
        label=label,
        contributions=dict.fromkeys(names, share),
        conflict=conflict,
    )
    prediction = Prediction(tasks={"digit": answer}, presence=dict.fromkeys(names, True))
    return FilePrediction(0, end_ms * 1_000_000, prediction)


def nothing(end_ms: int) -> FilePrediction:
    return FilePrediction(
        0, end_ms * 1_000_000, Prediction(tasks={}, presence=dict.fromkeys(NAMES, False))
    )


def parity(**errors: float) -> Parity:
    findings = tuple(
        Finding(point=point, batch=1, error=error, ratio=error * 1e4, sample=0)
        for point, error in errors.items()
    )
    return Parity(
        findings=findings,
        backend="cpu",
        plan="fp32",
        tolerance=FP32["cpu"],
        inputs="seeded",
        samples=4,
    )


def accuracy(names: Sequence[str] = NAMES) -> list[SubsetMetrics]:
    return [
        SubsetMetrics(
            task="digit", present="+".join(some), samples=100, metrics={"accuracy": size / 10}
        )
        for size in range(len(names), 0, -1)
        for some in itertools.combinations(names, size)
    ]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds: the first dark, the second bright, with a sound all along."""
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    return write_media(path, steady([40] * 25 + [200] * 25), ramp(32_000))


def draw(
    path: Path,
    clip: Path,
    predictions: Sequence[FilePrediction],
    truth: Sequence[Mapping[str, Any]] = TRUTH,
    **proofs: Any,
) -> Image.Image:
    given = {"accuracy": accuracy(), "parity": parity(camera=1e-6, mic=0.0)} | proofs
    draw_demo(path, clip=clip, predictions=predictions, truth=truth, **given)
    with Image.open(path) as picture:
        picture.load()
        return picture


def count(picture: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(picture) == colour).all(axis=2).sum())


def test_the_picture_is_a_png_of_1600_by_1040_and_nothing_else_is_left(
    tmp_path: Path, clip: Path
) -> None:
    picture = draw(tmp_path / "new" / "demo.png", clip, [said(500, "three")])
    assert (picture.format, picture.size, picture.mode) == ("PNG", (1600, 1040), "RGB")
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["demo.png"]


def test_a_picture_that_fails_leaves_the_old_one(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "demo.png"
    path.write_bytes(b"old")

    def fail(_: Any, file: Any, *_args: Any, **_options: Any) -> None:
        file.write(b"half")
        raise OSError("the disk is full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="full"):
        draw(path, clip, [said(500, "three")])
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["demo.png"]


def test_a_right_answer_is_green_and_a_wrong_one_is_hatched(tmp_path: Path, clip: Path) -> None:
    proofs = {"parity": parity(mic=0.0)}
    right = draw(tmp_path / "right.png", clip, [said(500, "three")], **proofs)
    wrong = draw(tmp_path / "wrong.png", clip, [said(500, "four")], **proofs)
    ribbon = (240, 360, 400, 380)
    assert count(right.crop(ribbon), WRONG) == 0
    assert count(right.crop(ribbon), RIGHT) > 2000
    assert count(wrong.crop(ribbon), RIGHT) == 0
    assert 1000 < count(wrong.crop(ribbon), WRONG) < 3000


def test_a_conflict_is_tinted(tmp_path: Path, clip: Path) -> None:
    calm = draw(tmp_path / "calm.png", clip, [said(1500, "two", conflict=0.5)])
    torn = draw(tmp_path / "torn.png", clip, [said(1500, "two", conflict=0.51)])
    tint = (255, 243, 205)
    assert count(calm, tint) == 0
    assert count(torn, tint) > 10_000


def test_the_line_has_a_gap_where_nothing_was_present(tmp_path: Path, clip: Path) -> None:
    rest = [said(500, "three"), said(1000, "three")]
    gap = draw(tmp_path / "gap.png", clip, [*rest, nothing(1500), said(2000, "three")])
    full = draw(tmp_path / "full.png", clip, [*rest, said(1500, None), said(2000, "three")])
    over_the_window = (868, 436, 1220, 575)
    assert count(full.crop(over_the_window), INK) > 300
    # The neighbours' lines reach a few pixels into the box, and no line drops to zero.
    assert count(gap.crop((868, 460, 1220, 575)), INK) == 0


def test_a_failed_proof_says_so(tmp_path: Path, clip: Path) -> None:
    heading = (840, 670, 1600, 715)
    predictions = [said(500, "three")]
    passed = draw(tmp_path / "passed.png", clip, predictions, parity=parity(mic=9e-5))
    failed = draw(tmp_path / "failed.png", clip, predictions, parity=parity(mic=float("inf")))
    assert count(passed.crop(heading), WRONG) == 0
    assert count(failed.crop(heading), WRONG) > 200


@pytest.mark.parametrize(
    "names", [("m",), tuple(f"the_{word}_camera_at_the_gate" for word in "abcdef")]
)
def test_it_draws_one_modality_or_six_with_long_names(
    tmp_path: Path, clip: Path, names: tuple[str, ...]
) -> None:
    predictions = [
        said(t, label, names=names, share=share)
        for t, label, share in ((250, "a\nlabel " * 40, 0.5), (500, None, -0.3), (750, "x", 0.1))
    ]
    points = {f"{name}/embedding": 10.0**-i for i, name in enumerate(names * 2)}
    proofs = {"accuracy": accuracy(names), "parity": parity(**points)}
    assert draw(tmp_path / "demo.png", clip, predictions, **proofs).size == (1600, 1040)


@pytest.mark.parametrize("windows", [1, 2, 2000])
def test_it_draws_any_number_of_windows(tmp_path: Path, clip: Path, windows: int) -> None:
    predictions = [said(2000 * (i + 1) // windows, "three") for i in range(windows)]
    assert draw(tmp_path / "demo.png", clip, predictions).size == (1600, 1040)


def test_it_draws_without_truth_accuracy_sound_or_anything_present(tmp_path: Path) -> None:
    silent = write_media(tmp_path / "silent.mkv", steady([90] * 10))
    proofs = {"accuracy": [], "parity": parity(mic=0.0)}
    picture = draw(tmp_path / "demo.png", silent, [nothing(200), nothing(400)], [], **proofs)
    assert picture.size == (1600, 1040)


def test_no_prediction_is_refused(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(ValueError, match="at least one window"):
        draw(tmp_path / "demo.png", clip, [])


def test_a_window_stands_for_its_last_hop() -> None:
    predictions = [said(t, "three") for t in (1000, 1250, 1500)]
    assert hop_of(predictions) == 250_000_000
    begins = [answer.begin_ns for answer in read_answers(predictions, [], "digit")]
    assert begins == [750_000_000, 1_000_000_000, 1_250_000_000]


def test_a_lone_window_stands_for_all_before_it() -> None:
    assert hop_of([said(800, "three")]) == 800_000_000


def test_answers_are_held_against_the_truth_in_the_middle_of_their_hop() -> None:
    predictions = [
        *(said(800, "three"), said(1000, "four"), said(1200, "two"), said(1400, None)),
        *(said(2200, "two"), said(2400, None), nothing(2600)),
    ]
    answers = read_answers(predictions, read_truth(TRUTH), "digit")
    assert [answer.verdict for answer in answers] == [
        *("right", "wrong", "open", "open"),
        *("open", "unsure", "unsure"),
    ]


def test_a_truth_without_a_label_says_what_else_is_known() -> None:
    assert [ribbon.text for ribbon in read_truth(TRUTH)] == ["three", "two / eight"]


def test_neighbours_that_say_the_same_are_joined_but_not_over_a_gap() -> None:
    first = Answer(begin_ns=0, end_ns=1, text="a", verdict="right")
    second = replace(first, begin_ns=1, end_ns=2)
    late = replace(first, begin_ns=3, end_ns=4)
    assert joined([first, second, late, replace(late, verdict="wrong")]) == [
        Ribbon(begin_ns=0, end_ns=2, text="a", verdict="right"),
        Ribbon(begin_ns=3, end_ns=4, text="a", verdict="right"),
        Ribbon(begin_ns=3, end_ns=4, text="a", verdict="wrong"),
    ]


def test_the_film_strip_shows_the_frame_in_the_middle_of_each_stretch(clip: Path) -> None:
    strip = film_strip(clip, 2 * S, 4, (8, 6))
    assert [picture.getpixel((4, 3)) for picture in strip] == [
        *((40, 40, 40), (40, 40, 40)),
        *((200, 200, 200), (200, 200, 200)),
    ]
    assert strip[0].size == (8, 6)


def test_no_frame_of_the_film_strip_is_shown_early_or_late(tmp_path: Path) -> None:
    path = write_media(tmp_path / "clip.mkv", steady([0, 40, 80, 120, 160], step_ms=100), fps=10)
    strip = film_strip(path, S // 2, 5, (8, 6))
    assert [picture.getpixel((4, 3))[0] for picture in strip] == [0, 40, 80, 120, 160]


def test_the_film_strip_ends_with_the_clip(clip: Path) -> None:
    assert len(film_strip(clip, 4 * S, 8, (8, 6))) == 4


def test_a_clip_of_one_frame_is_shown_once(tmp_path: Path) -> None:
    path = write_media(tmp_path / "one.mkv", [(0, grey(7))])
    assert len(film_strip(path, 2 * S, 4, (8, 6))) == 1


def test_loudness_is_the_peak_of_each_stretch(tmp_path: Path) -> None:
    samples = np.zeros(16_000, np.int16)
    samples[5_000], samples[13_000] = 8_000, -16_000
    path = write_media(tmp_path / "clip.mkv", steady([0] * 25), samples)
    assert loudness(path, 2 * S, 8).tolist() == [0.0, 0.5, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (2, [0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0]),
        (13.5, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]),
        (3600, [0, 500, 1000, 1500, 2000, 2500, 3000, 3500]),
    ],
)
def test_ticks_are_round(seconds: float, expected: list[float]) -> None:
    assert list(Timeline(int(seconds * S)).ticks()) == expected


def test_subsets_go_from_single_modalities_to_all() -> None:
    assert [row.present for row in chosen_subsets(accuracy())] == [
        *("camera", "mic", "hint"),
        *("camera+mic", "camera+hint", "mic+hint", "camera+mic+hint"),
    ]


def test_of_many_subsets_the_single_ones_and_all_stay() -> None:
    chosen = [row.present for row in chosen_subsets(accuracy("abcdef"))]
    assert chosen == ["a", "b", "c", "d", "e", "f", "a+b+c+d+e+f"]


def test_texts_are_cut_to_their_width_or_left_out() -> None:
    canvas = Canvas(10, 10)
    assert canvas.cut("nothing", 20, 200) == "nothing"
    assert canvas.cut("a label that goes on", 20, 80).endswith("…")
    assert canvas.width(canvas.cut("a label that goes on", 20, 80), 20) <= 80
    assert canvas.cut("nothing", 20, 20) == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_others_may_read_the_picture(tmp_path: Path, clip: Path) -> None:
    draw(tmp_path / "demo.png", clip, [said(500, "three")])
    assert (tmp_path / "demo.png").stat().st_mode & 0o777 == 0o644
