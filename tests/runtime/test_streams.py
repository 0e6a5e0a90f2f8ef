"""What an encoder remembers: from window to window, and not further."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmedge.bundle import Bundle
from mmedge.errors import ConfigError
from mmedge.runtime.offline import predict_clips, predict_files
from mmedge.runtime.pipeline.encoding import EncodingStage
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.preprocess import Pcm
from mmedge.runtime.rings import Window, make_ring
from mmedge.runtime.samples import Block
from mmedge.specs import Sound
from tests.fakes import linear_bundle
from tests.remembering import remembering_bundle
from tests.runtime.media import write_media, write_wav

RATE_HZ = 8000
LONG = Sound(rate_hz=RATE_HZ, window_ms=125, hop_ms=125)  # 1000 samples


@pytest.fixture
def model() -> Iterator[Predictor]:
    with Predictor(remembering_bundle()) as predictor:
        yield predictor


@pytest.fixture
def hearing() -> Iterator[Predictor]:
    with Predictor(remembering_bundle(sound=LONG)) as predictor:
        yield predictor


def window(*samples: float) -> np.ndarray:
    return np.array(samples, np.float32)


def sums(predictor: Predictor, windows: list[np.ndarray | None], **options: object) -> list[float]:
    samples = [{} if each is None else {"ear": each} for each in windows]
    predictions = predictor.predict_batch(samples, **options)  # type: ignore[arg-type]
    return [p.tasks["sum"].scores["sum"] if p.tasks else float("nan") for p in predictions]


def test_samples_of_a_batch_stand_for_themselves(model: Predictor) -> None:
    assert sums(model, [window(1, 1, 1, 1), window(2, 2, 2, 2)]) == [14, 18]


def test_the_windows_of_a_stream_add_up(model: Predictor) -> None:
    streams = {"ear": model.stream("ear")}
    assert sums(model, [window(1, 1, 1, 1), window(2, 2, 2, 2)], streams=streams) == [14, 22]
    assert sums(model, [window(0, 0, 0, 1)], streams=streams) == [23]
    streams["ear"].reset()
    assert sums(model, [window(0, 0, 0, 1)], streams=streams) == [11]


def test_two_streams_know_nothing_of_each_other(model: Predictor) -> None:
    one, other = ({"ear": model.stream("ear")} for _ in range(2))
    assert sums(model, [window(1, 1, 1, 1)], streams=one) == [14]
    assert sums(model, [window(5, 0, 0, 0)], streams=other) == [15]
    assert sums(model, [window(0, 0, 0, 0)], streams=one) == [14]


def test_streams_that_are_encoded_together_keep_their_rows(model: Predictor) -> None:
    state = model.stream("ear", 2)
    windows = {"samples": np.float32([[1, 0, 0, 0], [2, 0, 0, 0]])}
    model.encode("ear", windows, state=state)
    came = model.encode("ear", windows, state=state)
    assert came["ear"].tolist() == [[12], [14]]
    assert state.arrays["sum"].tolist() == [[12], [14]]


def test_a_window_that_is_absent_begins_the_stream_anew(model: Predictor) -> None:
    streams = {"ear": model.stream("ear")}
    windows = [window(1, 1, 1, 1), None, window(0, 0, 0, 1)]
    assert sums(model, windows, streams=streams)[::2] == [14, 11]


def test_a_state_can_be_kept_and_gone_on_from(model: Predictor) -> None:
    state = model.stream("ear")
    model.encode("ear", {"samples": window(1, 1, 1, 1)[None]}, state=state)
    kept = state.arrays
    state.reset()
    again = model.stream("ear")
    again.restore(kept)
    came = model.encode("ear", {"samples": window(0, 0, 0, 0)[None]}, state=again)
    assert came["ear"].tolist() == [[14]]


def test_an_encoder_without_state_has_an_empty_one() -> None:
    with Predictor(linear_bundle(1)) as predictor:
        state = predictor.stream("ant")
        assert not state
        assert state.arrays == {}
        came = predictor.encode("ant", {"samples": np.float32([[1, 2]])}, state=state)
        assert came["ant"].tolist() == [[3, 5]]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"sum": np.zeros((1, 2), np.float32)}, "state 'sum' of 'ear' is float32(1, 2), but its"),
        ({"sum": np.zeros((2, 1), np.float32)}, "encoder takes float32(1, 1); give it what Stream"),
        ({"sum": np.zeros((1, 1))}, "is float64(1, 1), but its encoder takes float32(1, 1)"),
        ({"other": np.zeros((1, 1), np.float32)}, "remembers ['sum'], but the state is of ['other"),
        ({}, "but the state is of []; give it what StreamState.arrays gave"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(
    arrays: dict[str, np.ndarray], words: str, model: Predictor
) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        model.stream("ear").restore(arrays)


def test_a_state_goes_with_as_many_windows_as_it_has_streams(model: Predictor) -> None:
    words = "a state of 2 stream(s) of 'ear' cannot go with 1 window(s) of 'ear'; make one with Pr"
    with pytest.raises(ConfigError, match=re.escape(words)):
        model.encode("ear", {"samples": np.zeros((1, 4), np.float32)}, state=model.stream("ear", 2))


def test_a_state_is_not_given_as_an_input(model: Predictor) -> None:
    arrays = {"samples": np.zeros((1, 4), np.float32), "state_sum": np.zeros((1, 9), np.float32)}
    came = model.encode("ear", {**arrays})
    assert came["ear"].tolist() == [[10]]  # the stream's is taken


def test_along_a_file_the_state_goes_from_window_to_window(
    hearing: Predictor, tmp_path: Path
) -> None:
    # 20 windows, which are more than one batch; each sample is 1/32768 * 8 = 1/4096.
    file = write_wav(tmp_path / "a.wav", np.full(20_000, 8, np.int16), RATE_HZ)
    told = [p.prediction.tasks["sum"].scores["sum"] for p in predict_files(hearing, {"ear": file})]
    np.testing.assert_allclose(told, 10 + np.arange(1, 21) * 1000 / 4096, rtol=1e-6)


def test_each_clip_begins_anew(hearing: Predictor, tmp_path: Path) -> None:
    for name in "ab":
        write_wav(tmp_path / f"{name}.wav", np.full(2000, 8, np.int16), RATE_HZ)
    clips = tmp_path / "clips.jsonl"
    clips.write_text('{"ear": "a.wav"}\n{"ear": "b.wav"}\n')
    told = [p.prediction.tasks["sum"].scores["sum"] for p in predict_clips(hearing, clips)]
    step = 1000 / 4096
    np.testing.assert_allclose(told, 10 + np.array([1, 2, 1, 2]) * step, rtol=1e-6)


@pytest.mark.parametrize("hole", [(5000, 7000), (5000, 8000)])
def test_a_gap_in_the_sound_begins_the_state_anew(
    hole: tuple[int, int], hearing: Predictor, tmp_path: Path
) -> None:
    samples = np.full(10_000, 8, np.int16)
    file = pierced(tmp_path, samples, hole)
    told = {
        p.end_ns // 125_000_000: p.prediction.tasks["sum"].scores["sum"]
        for p in predict_files(hearing, {"ear": file})
        if p.prediction.tasks
    }
    step = 1000 / 4096
    gone = set(range(hole[0] // 1000 + 1, hole[1] // 1000 + 1))
    assert set(told) == set(range(1, 11)) - gone
    expected = {n: 10 + (n if n < min(gone) else n - max(gone)) * step for n in told}
    np.testing.assert_allclose(list(told.values()), list(expected.values()), rtol=1e-6)


def test_a_window_with_a_hole_in_it_is_heard_alone(tmp_path: Path) -> None:
    double = Sound(rate_hz=RATE_HZ, window_ms=250, hop_ms=250)  # 2000 samples
    file = pierced(tmp_path, np.full(10_000, 8, np.int16), (5000, 6000))
    with Predictor(remembering_bundle(sound=double)) as predictor:
        made = list(predict_files(predictor, {"ear": file}))
    told = [each.prediction.tasks["sum"].scores["sum"] for each in made]
    # The third has its first half only, and the fourth knows nothing of it.
    np.testing.assert_allclose(told, 10 + np.array([2, 4, 1, 2, 4]) * 1000 / 4096, rtol=1e-6)


def pierced(folder: Path, samples: np.ndarray, hole: tuple[int, int]) -> Path:
    codecs = ("ffv1", "pcm_s16le")  # which does not regroup the samples around the hole
    path = folder / "a.mkv"
    return write_media(path, (), samples, rate_hz=RATE_HZ, sound_holes=[hole], codecs=codecs)


def test_a_modality_with_closer_windows_is_refused_along_files(tmp_path: Path) -> None:
    manifest = remembering_bundle(sound=LONG).manifest
    other = Sound(rate_hz=RATE_HZ, window_ms=100, hop_ms=50)
    from mmedge.runtime.offline import _refuse_overlap

    both = manifest.model_copy(update={"modalities": {**manifest.modalities, "voice": other}})
    words = "takes a window every 125 ms, but files are walked every 50 ms because of another"
    with pytest.raises(ConfigError, match=words):
        _refuse_overlap(both, {"ear": tmp_path, "voice": tmp_path})
    _refuse_overlap(both, {"ear": tmp_path})


@pytest.mark.parametrize("block", [1, 7, 333, 1000, 2500, 9999])
def test_a_stream_cut_anyhow_gives_the_same_as_in_one_piece(block: int, hearing: Predictor) -> None:
    samples = np.random.default_rng(0).integers(-9, 9, 9999).astype(np.int16)
    told = live(hearing, samples, block)
    whole = samples[:9000].astype(np.float32).reshape(9, 1000) / 32768
    state = hearing.stream("ear")
    expected = [
        float(hearing.encode("ear", {"samples": each[None]}, state=state)["ear"][0, 0])
        for each in whole
    ]
    assert told == expected


def test_a_state_that_a_spoiled_input_has_ended_says_so(hearing: Predictor) -> None:
    stage = EncodingStage("ear", hearing)
    stage._spoiled_is_absent = True
    raw = Pcm(np.full((1, 1000), 0.1, np.float32), RATE_HZ)
    heard = Window(raw=raw, begin_ns=0, end_ns=1, place=(0,))
    stage._watch = lambda window: ("clipped",) if window.end_ns == 2 else ()
    made = [stage(replace(heard, end_ns=number)) for number in (1, 2, 3, 4)]
    assert [each.reset for each in made] == ["", "", "its input was spoiled", ""]


def live(predictor: Predictor, samples: np.ndarray, block: int, lost: int = -1) -> list[float]:
    """Push blocks of a size through the ring and the encoding stage of the live pipeline."""
    ring = make_ring("ear", LONG, every=True, consecutive=True)
    stage = EncodingStage("ear", predictor)
    told = []
    for number, begin in enumerate(range(0, len(samples), block)):
        if number == lost:
            continue
        run = int(0 <= lost < number)
        ring.push(
            Block(
                time_ns=10**9 + begin * 125_000,
                samples=samples[begin : begin + block, None],
                rate_hz=RATE_HZ,
                run=run,
                index=begin if not run else begin - (lost + 1) * block,
            )
        )
        while (made := ring.take()) is not None:
            told.append(float(stage(made).arrays["ear"][0, 0]))
    return told


def test_live_a_lost_block_begins_the_state_anew(hearing: Predictor) -> None:
    samples = np.full(6000, 8, np.int16)
    step = 1000 / 4096
    told = live(hearing, samples, 1000, lost=3)
    np.testing.assert_allclose(told, 10 + np.array([1, 2, 3, 1, 2]) * step, rtol=1e-6)


def test_a_bundle_that_remembers_names_its_pairs() -> None:
    bundle: Bundle = remembering_bundle()
    assert bundle.manifest.encoder_outputs("ear") == {"embedding": "ear"}
    assert [spec.name for spec in bundle.manifest.encoder_inputs("ear")] == ["samples"]
