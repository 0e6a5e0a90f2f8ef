"""``mmedge calibrate`` on data that will not do: what it says, ends with, and leaves alone."""

from __future__ import annotations

import errno
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.bundle import open_bundle
from tests.calibration.pairs import write_pairs
from tests.runtime.media import write_wav

Run = Callable[..., tuple[int, str, str]]
Rows = list[dict[str, Any]]
QUICK = ("--target", "tensorrt", "--precision", "fp16", "--max-drop", "20")


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    lines = write_pairs(tmp_path / "good.jsonl", 99).read_text().splitlines()
    return [json.loads(line) for line in lines]


def listed(folder: Path, rows: Rows) -> Path:
    path = folder / "clips.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def content(bundle: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in bundle.iterdir() if each.name != ".lock"}


@pytest.fixture
def refused(mmedge: Run, demo_bundle: Path, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Calibrate a copy of the demo: exit code and message; the bundle is as before."""

    def run(data: object, *options: str) -> tuple[int, str]:
        before = content(demo_bundle)
        code, out, err = mmedge("calibrate", demo_bundle, "--data", data, *(options or QUICK))
        assert out == ""
        assert content(demo_bundle) == before
        return code, err

    return run


Refused = Callable[..., tuple[int, str]]


def test_no_such_data_ends_with_2(refused: Refused, tmp_path: Path) -> None:
    code, err = refused(tmp_path / "gone.jsonl")
    assert (code, "there is no data at" in err) == (2, True)


@pytest.mark.parametrize("kind", ["list", "function"])
def test_data_without_a_clip_ends_with_2_and_nothing_is_made_up(
    refused: Refused, tmp_path: Path, kind: str
) -> None:
    data: object = tmp_path / "clips.jsonl"
    (tmp_path / "clips.jsonl").write_text("\n")
    if kind == "function":
        (tmp_path / "mine.py").write_text("def clips():\n    return []\n")
        data = f"{tmp_path / 'mine.py'}:clips"
    code, err = refused(data)
    assert (code, "nothing is ever calibrated on random numbers" in err) == (2, True)


def test_too_few_clips_end_with_2_and_it_is_said_how_many_there_are(
    refused: Refused, tmp_path: Path, rows: Rows
) -> None:
    code, err = refused(listed(tmp_path, rows[:5]))
    assert code == 2
    assert "different input(s) in the 5 of 5 clips that have it, and at least 8 are needed" in err


def test_clips_of_one_session_end_with_2(refused: Refused, tmp_path: Path, rows: Rows) -> None:
    code, err = refused(listed(tmp_path, [{**row, "session": "one"} for row in rows]))
    assert code == 2
    assert "are of 1 group(s) ('one')" in err
    assert "at least 3 speakers, sessions or files" in err


@pytest.mark.parametrize("level", [0, 2])
def test_a_silent_microphone_ends_with_2(
    refused: Refused, tmp_path: Path, rows: Rows, level: int
) -> None:
    for number, row in enumerate(rows):
        samples = np.full(16_000, number % 2, np.int16) * level + level  # of full scale, 6e-5
        samples[number % 100] += 1
        write_wav(tmp_path / f"{number}.wav", samples, 16_000)
        row["mic"] = f"{number}.wav"
    code, err = refused(listed(tmp_path, rows))
    assert (code, "are silent or all zero; is the microphone muted?" in err) == (2, True)


def test_a_covered_lens_ends_with_2(refused: Refused, tmp_path: Path, rows: Rows) -> None:
    cv2 = pytest.importorskip("cv2")
    for number, row in enumerate(rows):
        picture = np.full((64, 64, 3), number % 40, np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
        row["camera"] = f"{number}.png"
    code, err = refused(listed(tmp_path, rows))
    assert (code, "are pictures of one colour; is the lens covered?" in err) == (2, True)


def test_sounds_of_nan_are_skipped_and_are_too_many(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def clips():\n"
        "    for n in range(20):\n"
        "        yield {'mic': np.full(16000, np.nan, np.float32)}, {'digit': 'one'}\n"
    )
    code, err = refused(f"{tmp_path / 'mine.py'}:clips")
    assert code == 2
    assert "20 of 20 clips cannot be read, more than 5%" in err
    assert "mine.py:clips, sample 1: " in err
    assert "NaN" in err


def test_a_label_that_is_no_class_ends_with_3_and_is_named_with_its_line(
    refused: Refused, tmp_path: Path, rows: Rows
) -> None:
    rows[6]["labels"] = {"digit": "eleven"}
    code, err = refused(listed(tmp_path, rows))
    assert code == 3
    assert "line 7" in err
    assert "'eleven'" in err


def test_a_clip_that_cannot_be_read_is_skipped_counted_and_named(
    mmedge: Run, demo_bundle: Path, tmp_path: Path, rows: Rows
) -> None:
    (tmp_path / "cut.wav").write_bytes(b"RIFF")
    rows[3]["mic"], rows[50]["camera"] = "cut.wav", "gone.png"
    command = ("calibrate", demo_bundle, "--data", listed(tmp_path, rows), *QUICK, "--json")
    code, out, _ = mmedge(*command)
    assert code == 0
    found = json.loads(out)
    assert len(found["skipped"]) == 2
    assert "line 4: " in found["skipped"][0]
    assert "cut.wav" in found["skipped"][0]
    assert "gone.png" in found["skipped"][1]
    assert sum(found["samples"].values()) == 97


def test_more_than_5_percent_that_cannot_be_read_end_with_their_error(
    refused: Refused, tmp_path: Path, rows: Rows
) -> None:
    for row in rows[:5]:
        row["mic"] = "gone.wav"
    code, err = refused(listed(tmp_path, rows))
    assert code == 5
    assert "5 of 99 clips cannot be read, more than 5%" in err
    assert "gone.wav" in err


def test_a_part_that_lacks_a_modality_ends_with_2_and_is_named(
    refused: Refused, tmp_path: Path, rows: Rows
) -> None:
    for row in rows:
        if row["session"] == "third 0":
            del row["mic"]
    code, err = refused(listed(tmp_path, rows))
    assert code == 2
    assert "modality 'mic': 0 different input(s) in the 0 of 33 clips of the part" in err


def test_a_part_without_the_labels_that_others_have_ends_with_2_and_is_named(
    refused: Refused, tmp_path: Path, rows: Rows
) -> None:
    from mmedge.proof.data import split

    parts = split([row["session"] for row in rows])
    for number in parts.search:
        del rows[number]["labels"]
    code, err = refused(listed(tmp_path, rows))
    assert code == 2
    assert "no clip of the part 'search' has a label for 'digit', though others have" in err


def test_without_any_labels_agreement_is_judged_and_that_is_said(
    mmedge: Run, demo_bundle: Path, tmp_path: Path, rows: Rows
) -> None:
    for row in rows:
        del row["labels"]
    code, out, _ = mmedge("calibrate", demo_bundle, "--data", listed(tmp_path, rows), *QUICK)
    assert code == 0
    assert "There are no labels: a drop is how often a plan answers otherwise than fp32" in out


def test_too_few_clips_for_a_proof_end_with_7_and_it_is_said_how_many_it_takes(
    refused: Refused, tmp_path: Path, rows: Rows
) -> None:
    code, err = refused(listed(tmp_path, rows), "--target", "tensorrt", "--precision", "fp16")
    assert code == 7
    assert "Give about 600 samples for that part" in err
    assert "--accept-unproven" in err


def test_what_is_accepted_without_proof_is_printed_and_kept_in_the_bundle(
    mmedge: Run, demo_bundle: Path, tmp_path: Path, rows: Rows
) -> None:
    command = ("calibrate", demo_bundle, "--data", listed(tmp_path, rows), *QUICK[:4])
    code, out, _ = mmedge(*command, "--accept-unproven")
    assert code == 0
    assert "not proven: accuracy of 'digit'" in out
    waived = open_bundle(demo_bundle).manifest.plans["fp16_tensorrt"].waived
    assert waived.endswith("0.5 were allowed")


def test_a_metric_that_no_task_has_ends_with_2_before_anything_is_read(
    refused: Refused, tmp_path: Path
) -> None:
    code, err = refused(tmp_path / "gone.jsonl", "--metric", "recall_at_5")
    assert code == 2
    assert "no task of the model is judged by 'recall_at_5'; choose accuracy or macro_f1" in err


def test_a_bundle_that_is_calibrated_already_ends_with_2_and_force_does_it_again(
    mmedge: Run, demo_bundle: Path, tmp_path: Path, rows: Rows
) -> None:
    command = ("calibrate", demo_bundle, "--data", listed(tmp_path, rows), *QUICK)
    assert mmedge(*command)[0] == 0
    before = content(demo_bundle)
    code, _, err = mmedge(*command)
    assert (code, "has the plan 'fp16_tensorrt' already; add --force" in err) == (2, True)
    assert content(demo_bundle) == before
    assert mmedge(*command, "--force")[0] == 0


def test_a_bundle_that_may_only_be_read_ends_with_2_before_anything_is_read(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tempfile.TemporaryFile

    def read_only(*arguments: Any, **options: Any) -> Any:
        if str(options.get("dir", "")).endswith(".mmedge"):
            raise OSError(errno.EROFS, "Read-only file system")
        return real(*arguments, **options)

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    code, err = refused(tmp_path / "gone.jsonl")
    assert (code, "cannot be written: Read-only file system" in err) == (2, True)
