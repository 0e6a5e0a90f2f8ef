"""Silero's voice detector, an ONNX file with state: from real speech and silence to the answer."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch")
ort = pytest.importorskip("onnxruntime")

import mmedge  # noqa: E402
from mmedge import Predictor, Sound  # noqa: E402
from mmedge.proof import verify  # noqa: E402
from mmedge.runtime.clips import read_sound  # noqa: E402
from mmedge.runtime.offline import predict_files  # noqa: E402
from mmedge.runtime.pipeline.encoding import EncodingStage  # noqa: E402
from mmedge.runtime.preprocess.sound import conform  # noqa: E402
from mmedge.runtime.rings import make_ring  # noqa: E402
from mmedge.runtime.samples import Block  # noqa: E402
from tests.export.pretrained import made  # noqa: E402
from tests.runtime.media import write_wav  # noqa: E402

pytestmark = [pytest.mark.models, pytest.mark.timeout(300)]
RATE_HZ, WINDOW, CONTEXT = 16_000, 512, 64
# Clean recordings of one speaker, in the shipped excerpt: "zero", "one" and so on.
EXCERPT = Path(mmedge.__file__).parent / "demo" / "data" / "mic"
CLEAN = tuple(EXCERPT / f"{number:03d}.wav" for number in (0, 4, 9, 11, 13, 16, 18))
QUIET = 16 * WINDOW
Samples = npt.NDArray[np.int16]


@pytest.fixture(scope="module")
def file() -> Path:
    try:
        found = distribution("silero-vad").locate_file("silero_vad/data/silero_vad.onnx")
    except PackageNotFoundError:
        pytest.skip("silero-vad is not installed: tests/models-requirements-alone.txt")
    return Path(str(found))


@pytest.fixture(scope="module")
def model(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    with made("silero_vad", tmp_path_factory.mktemp("voice")) as predictor:
        yield predictor


@pytest.fixture(scope="module")
def stream() -> tuple[Samples, list[tuple[int, int]]]:
    """Silence, a word, silence, a word...; int16, and the first and last window of each word."""
    spec = Sound(rate_hz=RATE_HZ, window_ms=1_000, hop_ms=1_000)
    parts, words, at = [np.zeros(QUIET, np.float32)], [], QUIET
    for path in CLEAN:
        word = conform(read_sound(path), spec, "sound")[0]
        word = word[: len(word) // WINDOW * WINDOW]
        parts += [word, np.zeros(QUIET, np.float32)]
        words.append((at // WINDOW, (at + len(word)) // WINDOW))
        at += len(word) + QUIET
    whole = np.concatenate(parts)
    return (np.clip(whole, -1, 1) * 32767).astype(np.int16), words


def original(file: Path, samples: Samples) -> list[float]:
    """The file as its authors run it: the last 64 samples before each 512, the state handed on."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), samples.astype(np.float32) / 32768])
    state, told = np.zeros((2, 1, 128), np.float32), []
    for begin in range(0, len(samples) - WINDOW + 1, WINDOW):
        window = padded[None, begin : begin + CONTEXT + WINDOW]
        rate = np.array(RATE_HZ)
        answer, state = session.run(None, {"input": window, "state": state, "sr": rate})
        told.append(float(answer[0, 0]))
    return told


def live(model: Predictor, samples: Samples, sizes: Iterator[int]) -> list[float]:
    """Blocks of any size through the ring and the encoding stage of the live pipeline."""
    ring = make_ring("mic", model.manifest.modalities["mic"], every=True, consecutive=True)
    stage, told, at = EncodingStage("mic", model), [], 0
    while at < len(samples):
        block = samples[at : at + next(sizes), None]
        time_ns = 10**9 + at * 62_500
        ring.push(Block(time_ns=time_ns, samples=block, rate_hz=RATE_HZ, run=0, index=at))
        at += len(block)
        while (window := ring.take()) is not None:
            told.append(float(stage(window).arrays["mic"][0, 0]))
    return told


def test_the_bundle_is_proven_along_a_chain(model: Predictor) -> None:
    parity = verify(model.bundle)
    assert parity.passed
    assert {"mic/chain", "mic/chain memory", "mic/chain context"} <= set(parity.by_point())


def test_silence_is_none_and_every_word_is_speech(
    model: Predictor, stream: tuple[Samples, list[tuple[int, int]]], tmp_path: Path
) -> None:
    samples, words = stream
    path = write_wav(tmp_path / "a.wav", samples, RATE_HZ)
    made = [each.prediction.tasks["voice"] for each in predict_files(model, {"mic": path})]
    told = np.array([task.scores["speech"] for task in made])
    assert len(told) == len(samples) // WINDOW
    for first, last in words:
        assert told[first:last].max() > 0.9
        # It lets a word ring on for 0.2 s; then there is silence up to the next.
        assert told[last + 6 : last + 16].max() < 0.1
    assert told[:16].max() < 0.1
    speech = {task.labels for task, score in zip(made, told, strict=True) if score > 0.5}
    assert speech == {("speech",)}


def test_it_says_what_the_original_says(
    model: Predictor, file: Path, stream: tuple[Samples, list[tuple[int, int]]]
) -> None:
    samples, _ = stream
    expected = original(file, samples)
    told = live(model, samples, iter(lambda: 480, None))
    assert len(told) == len(expected) > 300
    np.testing.assert_allclose(told, expected, atol=1e-4)


def test_a_stream_cut_anyhow_gives_the_same(
    model: Predictor, stream: tuple[Samples, list[tuple[int, int]]]
) -> None:
    samples = stream[0][: 100 * WINDOW]
    whole = live(model, samples, iter([len(samples)]))
    assert len(whole) == 100
    for size in (1 + 2 * 64, 160, 441, 512, 4096):
        assert live(model, samples, iter(lambda size=size: size, None)) == whole  # type: ignore[misc]
    random = np.random.default_rng(0)
    assert live(model, samples, iter(lambda: int(random.integers(1, 2000)), None)) == whole
