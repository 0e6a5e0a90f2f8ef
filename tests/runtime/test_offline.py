"""From files to predictions: which file feeds which modality, window by window."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from mmedge.bundle import Bundle
from mmedge.errors import ArtefactError, ConfigError, SourceError
from mmedge.runtime import offline
from mmedge.runtime.offline import FilePrediction, assign, downmixed, predict_clips, predict_inputs
from mmedge.runtime.prediction import Prediction
from mmedge.runtime.predictor import Predictor
from mmedge.specs import Image, Modality, Sound, Text
from tests.fakes import linear_bundle
from tests.runtime.media import grey, ramp, steady, write_media, write_wav

EYE, EAR = Image(height=8, width=8), Sound(rate_hz=8000, window_ms=1000, hop_ms=250)
HINT = Text(tokenizer="t.json", max_tokens=4)
ALL: dict[str, Modality] = {"eye": EYE, "ear": EAR, "hint": HINT}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Pillow.fromarray(grey(128)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Five and a half seconds at the shipped model's rate."""
    return write_wav(tmp_path / "a.wav", ramp(44_000) // 4, 8000)


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    """A video without sound."""
    return write_media(tmp_path / "silent.mkv", steady([10, 20, 30]))


@pytest.fixture
def talkie(tmp_path: Path) -> Path:
    return write_media(tmp_path / "talkie.mkv", steady([10, 20, 30]), ramp(8000), rate_hz=8000)


def test_a_file_feeds_the_modality_of_its_kind(picture: Path, sound: Path, talkie: Path) -> None:
    assert assign([str(picture), str(sound)], ALL) == {"eye": picture, "ear": sound}
    assert assign([str(talkie)], ALL) == {"eye": talkie, "ear": talkie}


def test_a_file_is_known_by_its_content_and_not_by_its_name(picture: Path) -> None:
    disguised = picture.rename(picture.with_name("a.wav"))
    assert assign([str(disguised)], ALL) == {"eye": disguised}


def test_a_named_input_feeds_what_it_names(picture: Path, talkie: Path) -> None:
    assert assign([f"eye={picture}", f"ear={talkie}"], ALL) == {"eye": picture, "ear": talkie}
    assert assign(["hint=a = b, or not"], ALL) == {"hint": "a = b, or not"}


def test_a_file_whose_name_has_an_equals_sign_is_still_a_file(picture: Path) -> None:
    odd = picture.rename(picture.with_name("x=1.png"))
    assert assign([str(odd)], ALL) == {"eye": odd}


def test_what_a_silent_video_lacks_is_said(silent: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert assign([str(silent)], ALL) == {"eye": silent}
    assert [record.message for record in caplog.records] == [
        f"{silent} has no sound: the model hears nothing"
    ]
    caplog.clear()
    assert assign([str(silent)], {"eye": EYE}) == {"eye": silent}
    assert caplog.records == []


def test_a_silent_video_that_is_named_for_its_sound_is_refused(silent: Path) -> None:
    with pytest.raises(SourceError, match="is a video without sound"):
        assign([f"ear={silent}"], ALL)


def test_an_unknown_modality_is_named_with_those_that_are_there() -> None:
    with pytest.raises(ConfigError, match=r"no modality 'nose', only eye \(image\), ear \(sound\)"):
        assign(["nose=rose.png"], ALL)
    with pytest.raises(ConfigError, match="no modality 'nose'"):
        assign([f"nose={'x' * 5000}"], ALL)


def test_a_modality_that_is_given_twice_is_refused(picture: Path, talkie: Path) -> None:
    with pytest.raises(ConfigError, match="modality 'eye' is given twice"):
        assign([str(picture), str(talkie)], ALL)


def test_a_file_that_could_feed_two_modalities_is_refused(picture: Path) -> None:
    with pytest.raises(ConfigError, match=r"could feed left or right; say which: left="):
        assign([str(picture)], {"left": EYE, "right": EYE})


def test_a_file_that_feeds_no_modality_is_refused(picture: Path) -> None:
    with pytest.raises(ConfigError, match="is of kind 'image', and no modality of the model takes"):
        assign([str(picture)], {"ear": EAR})


@pytest.mark.parametrize("given", ["nowhere.png", "x" * 5000])
def test_a_file_that_is_not_there_is_a_missing_source(given: str) -> None:
    with pytest.raises(SourceError):
        assign([given], ALL)


def test_a_text_alone_is_one_prediction(predictor: Predictor) -> None:
    (only,) = predict_inputs(predictor, [], text="even")
    assert (only.clip, only.end_ns) == (0, 0)
    assert only.prediction.presence == {"camera": False, "mic": False, "hint": True}


def test_a_long_sound_is_walked_window_by_window(
    predictor: Predictor, sound: Path, picture: Path
) -> None:
    found = list(predict_inputs(predictor, [str(sound), str(picture)], text="odd"))
    # The first window ends after one second; 5.5 s hold 18 more hops of 250 ms.
    assert [each.end_ns for each in found] == [
        1_000_000_000 + hop * 250_000_000 for hop in range(19)
    ]
    assert all(all(each.prediction.presence.values()) for each in found)


@pytest.mark.parametrize("batch", [1, 7])
def test_how_many_windows_go_at_once_changes_no_prediction(
    demo: Bundle, sound: Path, monkeypatch: pytest.MonkeyPatch, counting: Any, batch: int
) -> None:
    with Predictor(demo, backend="counting") as predictor:
        together = [each.to_json() for each in predict_inputs(predictor, [str(sound)])]
        assert [rows for graph, rows in counting.runs if graph == "graph 'mic'"] == [16, 3]
        monkeypatch.setattr(offline, "BATCH", batch)
        apart = [each.to_json() for each in predict_inputs(predictor, [str(sound)])]
        mic = [rows for graph, rows in counting.runs if graph == "graph 'mic'"]
        assert mic[2] == batch
    assert len(together) == len(apart) == 19
    for a, b in zip(together, apart, strict=True):
        ours, theirs = a["tasks"]["digit"], b["tasks"]["digit"]
        assert a["end_ms"] == b["end_ms"]
        assert ours["label"] == theirs["label"]
        assert ours["scores"] == pytest.approx(theirs["scores"], rel=0, abs=2e-6)


def test_clips_are_numbered_in_the_order_of_the_list(
    predictor: Predictor, tmp_path: Path, picture: Path
) -> None:
    rows: list[dict[str, Any]] = [{"hint": "even"}, {"camera": picture.name}, {"hint": "odd"}]
    clips = tmp_path / "clips.jsonl"
    clips.write_text("\n".join(map(json.dumps, rows)))
    found = list(predict_inputs(predictor, [], clips=clips))
    assert [each.clip for each in found] == [0, 1, 2]
    assert [each.prediction.presence["camera"] for each in found] == [False, True, False]
    assert [each.to_json() for each in predict_clips(predictor, clips)] == [
        each.to_json() for each in found
    ]


def test_a_broken_line_of_clips_is_named(predictor: Predictor, tmp_path: Path) -> None:
    clips = tmp_path / "clips.jsonl"
    clips.write_text('{"hint": "even"}\n{"hint": \n')
    found = predict_clips(predictor, clips)
    assert next(found).clip == 0
    with pytest.raises(ArtefactError, match="line 2"):
        next(found)


def test_clips_exclude_other_inputs(predictor: Predictor, tmp_path: Path) -> None:
    for more in ({"inputs": ["a.png"]}, {"inputs": [], "text": "even"}):
        with pytest.raises(ConfigError, match="--clips names all inputs itself"):
            predict_inputs(predictor, **more, clips=tmp_path / "clips.jsonl")  # type: ignore[arg-type]


def test_nothing_to_predict_from_is_refused(predictor: Predictor) -> None:
    with pytest.raises(ConfigError, match=r"give files or texts for camera \(image\), mic"):
        predict_inputs(predictor, [])


def test_an_empty_text_is_refused(predictor: Predictor) -> None:
    with pytest.raises(ConfigError, match="takes a text"):
        list(predict_inputs(predictor, [], text=" "))


def test_a_text_needs_a_model_that_reads() -> None:
    with (
        Predictor(linear_bundle(1)) as deaf,
        pytest.raises(ConfigError, match=r"needs a model with one text modality; it has ant"),
    ):
        predict_inputs(deaf, [], text="even")


@pytest.mark.parametrize("how", ["mean", "first"])
def test_downmixing_is_for_sounds_only_and_leaves_the_bundle_alone(demo: Bundle, how: str) -> None:
    before = demo.manifest.modalities
    mixed = downmixed(linear_bundle(2), how)
    assert [m.downmix for m in mixed.manifest.modalities.values() if m.kind == "sound"] == [how] * 2
    assert downmixed(demo, how).manifest.modalities["camera"] == before["camera"]
    assert demo.manifest.modalities is before


def test_stereo_is_heard_as_downmixing_says() -> None:
    stereo = np.float32([[0.5, 0.0], [-0.5, 0.25]])
    heard = {}
    for how in ("mean", "first"):
        with Predictor(downmixed(linear_bundle(1), how)) as predictor:
            heard[how] = predictor.prepare("ant", stereo)["samples"].tolist()
    assert heard == {"mean": [0.0, 0.125], "first": [0.5, 0.0]}
    with Predictor(linear_bundle(1)) as strict, pytest.raises(ConfigError, match="ant"):
        strict.predict(ant=stereo)


def test_another_downmix_is_refused_and_none_changes_nothing(demo: Bundle) -> None:
    with pytest.raises(ConfigError, match="--downmix 'sum' is neither 'mean' nor 'first'"):
        downmixed(demo, "sum")
    assert downmixed(demo, None) is demo


def test_a_prediction_tells_its_time_in_milliseconds() -> None:
    nothing = Prediction(tasks={}, presence={"ear": False})
    assert FilePrediction(2, 1_250_000_000, nothing).to_json() == {
        "clip": 2,
        "end_ms": 1250.0,
        "tasks": {},
        "presence": {"ear": False},
    }
