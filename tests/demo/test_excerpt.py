"""The files that ship: enough of them, small enough, licensed, and saying what they are."""

from __future__ import annotations

import json
import wave
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mmedge
from mmedge.demo.hints import encode, vocabulary
from mmedge.demo.originals import read_wav
from mmedge.demo.samples import LABELS
from mmedge.errors import ConfigError

DEMO = Path(mmedge.__path__[0]) / "demo"
LINES = (DEMO / "data" / "clips.jsonl").read_text("utf-8").splitlines()
CLIPS = [json.loads(line) for line in LINES]


def test_every_label_is_there_equally_often() -> None:
    counts = Counter(clip["labels"]["digit"] for clip in CLIPS)
    assert counts == dict.fromkeys(LABELS, 15)


def test_every_picture_is_grey_and_of_a_cameras_shape() -> None:
    for clip in CLIPS:
        with Image.open(DEMO / "data" / clip["camera"]) as picture:
            assert (picture.size, picture.mode) == ((128, 96), "L")


def test_every_sound_is_one_second_and_none_occurs_twice() -> None:
    sounds = [read_wav(DEMO / "data" / clip["mic"]) for clip in CLIPS]
    assert {sound.shape for sound in sounds} == {(8_000,)}
    assert len({sound.tobytes() for sound in sounds}) == len(CLIPS)


def test_clean_and_noisy_words_are_about_as_many() -> None:
    counts = Counter(clip["sound"] for clip in CLIPS)
    assert counts["clean"] > 60
    assert counts["noisy"] > 60
    assert counts["clean"] + counts["noisy"] <= 200


def test_clean_sounds_are_quiet_somewhere_and_noisy_ones_are_not() -> None:
    for clip in CLIPS:
        if clip["sound"] == "no word":
            continue
        sound = read_wav(DEMO / "data" / clip["mic"])
        quietest = min(float((part**2).mean()) for part in np.split(sound, 20))
        loudest = max(float((part**2).mean()) for part in np.split(sound, 20))
        # A word may fill the window, and swelling noise may fade: a rule for most.
        clip["quiet"] = quietest < 1e-3 * loudest
    share = {
        sound: np.mean([clip["quiet"] for clip in CLIPS if clip["sound"] == sound])
        for sound in ("clean", "noisy")
    }
    assert share["clean"] > 0.9
    assert share["noisy"] < 0.1


def test_every_hint_is_of_known_words() -> None:
    for clip in CLIPS:
        ids, mask = encode(clip["hint"])
        assert mask.any()
        assert vocabulary()["[UNK]"] not in ids


def test_the_folder_is_small_and_the_files_in_it_are_all_listed() -> None:
    files = [path for path in (DEMO / "data").rglob("*") if path.is_file()]
    listed = {clip[name] for clip in CLIPS for name in ("camera", "mic")}
    found = {path.relative_to(DEMO / "data").as_posix() for path in files}
    assert found - listed == {"clips.jsonl", "mic/LICENSE.md"}
    assert listed <= found
    everything = [path for path in DEMO.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in everything) < 8_000_000
    assert (DEMO / "weights.safetensors").stat().st_size < 1_500_000
    assert (DEMO / "clip.mkv").stat().st_size < 1_500_000


def test_origins_and_licences_stand_beside_the_data() -> None:
    licence = (DEMO / "data" / "mic" / "LICENSE.md").read_text("utf-8")
    origins = (DEMO / "ORIGINS.md").read_text("utf-8")
    for text in (licence, origins):
        assert "CC-BY-SA-4.0" in text
        assert "github.com/Jakobovski/free-spoken-digit-dataset" in text
        assert "jackson" in text
    assert "MNIST" in origins
    for path in DEMO.iterdir():
        known = path.suffix == ".py" or path.name in ("ORIGINS.md", "__pycache__")
        if path.is_file() and not known:
            assert f"`{path.name}`" in origins, path.name


def test_the_weights_say_what_they_were_trained_on() -> None:
    with (DEMO / "weights.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    assert "Free Spoken Digit Dataset (CC-BY-SA-4.0)" in header["__metadata__"]["origins"]


def test_the_report_says_what_was_measured_on_what() -> None:
    report = json.loads((DEMO / "training.json").read_text("utf-8"))
    assert report["held_out_speaker"] == "jackson"
    assert report["originals"]["test"] == {"images": 1000, "recordings": 500}
    assert set(report["heads"]) == {"concatenation", "gated", "attention"}
    assert report["heads"]["concatenation"] == report["seeds"][0]
    accuracy = report["mean"]["test"]["accuracy"]
    assert len(accuracy) == 7
    assert 0.15 < accuracy["hint"] < 0.27
    for name, value in accuracy.items():
        each = [seed["test"]["accuracy"][name] for seed in report["seeds"]]
        assert value == pytest.approx(sum(each) / 3, abs=1e-5)


def test_the_truth_of_the_film_has_no_gaps_and_one_contradiction() -> None:
    scenes = json.loads((DEMO / "clip.json").read_text("utf-8"))
    assert scenes[0]["begin_ms"] == 0
    assert 10_000 <= scenes[-1]["end_ms"] <= 15_000
    for before, after in pairwise(scenes):
        assert before["end_ms"] == after["begin_ms"]
    assert sum(scene["label"] is None for scene in scenes) == 1
    assert sum(scene["label"] == "nothing" for scene in scenes) == 2


def test_the_film_is_as_long_as_its_truth_in_picture_and_sound() -> None:
    av = pytest.importorskip("av")
    end_ms = json.loads((DEMO / "clip.json").read_text("utf-8"))[-1]["end_ms"]
    with av.open(str(DEMO / "clip.mkv")) as film:
        video, sound = film.streams.video[0], film.streams.audio[0]
        assert (video.width, video.height, sound.rate) == (320, 240, 8_000)
        frames = list(film.decode(video))
    assert len(frames) * 1000 / 12 == pytest.approx(end_ms, abs=90)
    with av.open(str(DEMO / "clip.mkv")) as film:
        samples = sum(frame.samples for frame in film.decode(audio=0))
    assert samples == end_ms * 8


def test_a_recording_at_another_rate_is_refused(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(20))
    with pytest.raises(ConfigError, match="16000 Hz, 2 bytes and 1 channels; 8000 Hz"):
        read_wav(tmp_path / "a.wav")
