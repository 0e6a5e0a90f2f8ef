from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mmedge.errors import ConfigError  # noqa: E402
from mmedge.models.log_mel import LogMelFrontEnd  # noqa: E402
from mmedge.models.mel import mel_bank, taper  # noqa: E402
from mmedge.models.presets import ast_log_mel, clap_log_mel, whisper_log_mel  # noqa: E402
from mmedge.specs import LogMel  # noqa: E402

pytestmark = pytest.mark.torch

# Every operator that a front-end may need; TensorRT 10.3 has all of them.
OPERATORS = {
    *("Add", "Clip", "Conv", "Log", "MatMul", "Max", "Mul", "Pad", "ReduceMax", "Reshape"),
    *("Slice", "Split", "Sqrt", "Sub", "Transpose", "Unsqueeze"),
}

CASES = {
    "whisper's, whole": (whisper_log_mel(), 16_000, 16_000),
    "clap's, fused": (clap_log_mel(fused=True), 48_000, 24_000),
    "clap's, unfused": (clap_log_mel(), 48_000, 24_000),
    "ast's": (ast_log_mel(), 16_000, 16_000),
    "slaney, natural log": (LogMel(), 16_000, 16_000),
    "magnitude, short frame in a centred transform": (
        LogMel(mels=40, fft_size=512, frame=320, mel="htk", power=1, log="db", floor=1e-5),
        16_000,
        8_000,
    ),
    "kaldi's taper, floor added, channels last": (
        LogMel(
            mels=23,
            fft_size=256,
            frame=200,
            hop=80,
            low_hz=100.0,
            high_hz=3800.0,
            window="povey",
            periodic=False,
            center=False,
            floor=1e-6,
            floor_by="add",
            layout="time_mel",
        ),
        8_000,
        8_000,
    ),
    "odd sizes": (
        LogMel(mels=20, fft_size=301, frame=300, hop=97, window="hamming", mel="htk"),
        11_025,
        9_999,
    ),
}


def signals(samples: int, rate_hz: int, seed: int = 0) -> np.ndarray:
    """Eleven sounds, float32 ``[11, samples]``: loud noise, quiet noise, and three tones, a
    chirp and a voice, each in noise at -60, -80 and -96 dBFS (a poor microphone, a good one,
    16 bits).
    """
    generator = np.random.default_rng(seed)
    seconds = np.arange(samples) / rate_hz
    sounds = [0.1 * generator.standard_normal(samples), 0.001 * generator.standard_normal(samples)]
    for noise_db in (-60, -80, -96):
        tones_hz = generator.uniform(60, 0.48 * rate_hz, size=3)
        tones = sum(0.3 * np.sin(2 * np.pi * hz * seconds) for hz in tones_hz)
        chirp = 0.5 * np.sin(2 * np.pi * (50 + 0.22 * rate_hz * seconds / seconds[-1]) * seconds)
        for sound in (tones, chirp, voice(seconds, generator.uniform(90, 250), rate_hz)):
            noise = 10 ** (noise_db / 20) * generator.standard_normal(samples)
            sounds.append(sound + noise)
    return np.stack(sounds).astype(np.float32)


def voice(seconds: np.ndarray, pitch_hz: float, rate_hz: int) -> np.ndarray:
    """Harmonics that fall by 12 dB per octave, three syllables a second."""
    numbers = range(1, min(30, int(rate_hz / 2 / pitch_hz) + 1))
    harmonics = sum(np.sin(2 * np.pi * pitch_hz * n * seconds) / n**2 for n in numbers)
    return np.asarray((0.1 + 0.2 * np.abs(np.sin(6 * np.pi * seconds))) * harmonics)


def spectrum(spec: LogMel, sounds: np.ndarray, prepared: bool = True) -> np.ndarray:
    """Power in float64, by torch's transforms: ``[B, fft_size // 2 + 1, T]``."""
    values, window = torch.from_numpy(sounds).double(), torch.from_numpy(taper(spec))
    if spec.center:
        stft = torch.stft(
            values, spec.fft_size, spec.hop, spec.frame_size, window, return_complex=True
        )
        return (stft.abs() ** 2).numpy()
    frames = values.unfold(-1, spec.frame_size, spec.hop)
    if spec.remove_dc and prepared:
        frames = frames - frames.mean(dim=-1, keepdim=True)
    if spec.preemphasis and prepared:
        before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        frames = frames - spec.preemphasis * before
    power = torch.fft.rfft(frames * window, spec.fft_size).abs() ** 2
    return power.transpose(1, 2).numpy()


def exact(spec: LogMel, rate_hz: int, sounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The spectrogram in float64, and the error that float32 may make: ``[B, mels, T]`` each.

    1e-4 in natural-log units, down to 40 dB below the frame's loudest bin; ten times that for
    every 20 dB further. A band's level is its mean over the bins in its triangle.
    """
    bank = mel_bank(spec, rate_hz)
    frames = spec.frames(sounds.shape[-1])
    power = spectrum(spec, sounds)[..., :frames]
    bands = bank @ power ** (spec.power / 2)
    lifted = bands + spec.floor if spec.floor_by == "add" else np.maximum(bands, spec.floor)
    unit = {"ln": 1.0, "log10": 1 / np.log(10), "db": 20 / spec.power / np.log(10)}[spec.log]
    logs = unit * np.log(lifted)
    if spec.span is not None:
        logs = np.maximum(logs, logs.max(axis=(1, 2), keepdims=True) - spec.span)

    loudest = np.sqrt(spectrum(spec, sounds, prepared=False)[..., :frames].max(1, keepdims=True))
    width = bank.sum(axis=1, keepdims=True)
    level = (np.maximum(lifted, 1e-30) / np.where(width, width, 1)) ** (1 / spec.power)
    allowed = 1e-4 * np.maximum(1, loudest / level / 100)
    return (logs - spec.mean) / spec.std, allowed * unit / spec.std


@cache
def front_end(case: str) -> LogMelFrontEnd:
    spec, rate_hz, _ = CASES[case]
    return LogMelFrontEnd(spec, rate_hz).eval()


@cache
def exported(case: str) -> Any:
    _, _, samples = CASES[case]
    return export(front_end(case), torch.zeros(2, samples))


def export(module: LogMelFrontEnd, example: Any) -> Any:
    pytest.importorskip("onnxscript", reason="torch exports through onnxscript")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            opset_version=20,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    return program.model_proto


def session(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    opened = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    name = opened.get_inputs()[0].name
    return lambda sounds: opened.run(None, {name: sounds})[0]


def mel_time(spec: LogMel, result: np.ndarray) -> np.ndarray:
    return result.swapaxes(1, 2) if spec.layout == "time_mel" else result


@pytest.mark.parametrize("case", CASES)
def test_the_module_agrees_with_float64(case: str) -> None:
    spec, rate_hz, samples = CASES[case]
    sounds = signals(samples, rate_hz)
    result = front_end(case)(torch.from_numpy(sounds)).numpy()
    expected, allowed = exact(spec, rate_hz, sounds)
    assert result.dtype == np.float32
    assert (np.abs(mel_time(spec, result) - expected) / allowed).max() <= 1


@pytest.mark.parametrize("case", CASES)
def test_the_exported_graph_agrees_with_float64_at_any_batch_size(case: str) -> None:
    spec, rate_hz, samples = CASES[case]
    run = session(exported(case))
    for batch in (1, 2, 5):
        sounds = signals(samples, rate_hz, seed=batch)[-batch:]
        expected, allowed = exact(spec, rate_hz, sounds)
        assert (np.abs(mel_time(spec, run(sounds)) - expected) / allowed).max() <= 1


@pytest.mark.parametrize("case", CASES)
def test_the_exported_graph_has_only_operators_that_tensorrt_knows(case: str) -> None:
    model = exported(case)
    assert {node.op_type for node in model.graph.node} <= OPERATORS
    assert [entry.version for entry in model.opset_import if not entry.domain] == [20]


def test_noise_is_exact_to_a_hundred_thousandth() -> None:
    spec, rate_hz, samples = CASES["slaney, natural log"]
    sounds = signals(samples, rate_hz)[:2]
    expected, _ = exact(spec, rate_hz, sounds)
    result = front_end("slaney, natural log")(torch.from_numpy(sounds)).numpy()
    assert np.abs(result - expected).max() <= 1e-5


def test_the_convolution_is_as_exact_as_a_float32_stft() -> None:
    spec, rate_hz, samples = CASES["slaney, natural log"]
    sounds = signals(samples, rate_hz)
    expected, _ = exact(spec, rate_hz, sounds)
    window = torch.hann_window(400)
    stft = torch.stft(torch.from_numpy(sounds), 400, 160, window=window, return_complex=True)
    bank = torch.from_numpy(mel_bank(spec, rate_hz)).float()
    theirs = np.abs((bank @ stft.abs() ** 2).clamp(min=1e-10).log().numpy() - expected)
    ours = front_end("slaney, natural log")(torch.from_numpy(sounds)).numpy() - expected
    assert np.quantile(np.abs(ours), 0.99) < np.quantile(theirs, 0.99)


def test_an_offset_is_removed_within_the_limits_of_float32() -> None:
    spec, rate_hz, samples = CASES["ast's"]
    sounds = signals(samples, rate_hz) + np.float32(0.1)
    expected, allowed = exact(spec, rate_hz, sounds)
    result = front_end("ast's")(torch.from_numpy(sounds)).numpy()
    assert (np.abs(mel_time(spec, result) - expected) / allowed).max() <= 1


@pytest.mark.parametrize(
    ("case", "value"),
    [
        ("whisper's, whole", -1.5),  # (log10(1e-10) + 4) / 4
        ("clap's, fused", -100.0),
        ("ast's", -1.2775938),  # (ln(2 ** -23) + 4.2677393) / 9.1379948
        ("magnitude, short frame in a centred transform", -100.0),
        ("kaldi's taper, floor added, channels last", -13.815511),
    ],
)
def test_silence_is_the_floor(case: str, value: float) -> None:
    silence = np.zeros((2, CASES[case][2]), np.float32)
    np.testing.assert_allclose(front_end(case)(torch.from_numpy(silence)), value, rtol=1e-6)
    np.testing.assert_allclose(session(exported(case))(silence), value, rtol=1e-6)


@pytest.mark.parametrize(
    ("case", "shape"),
    [
        ("whisper's, whole", (2, 80, 100)),
        ("clap's, unfused", (2, 51, 64)),
        ("ast's", (2, 98, 128)),
        ("magnitude, short frame in a centred transform", (2, 40, 51)),
        ("odd sizes", (2, 20, 104)),
    ],
)
def test_the_shape_is_that_of_the_training_code(case: str, shape: tuple[int, ...]) -> None:
    spec, _, samples = CASES[case]
    assert front_end(case)(torch.zeros(2, samples)).shape == shape
    assert spec.frames(samples) in shape


def test_every_length_gives_as_many_frames_as_the_spec_says() -> None:
    sounds = torch.from_numpy(signals(2000, 16_000))[:1]
    for center in (True, False):
        for drop_last in (True, False):
            spec = LogMel(fft_size=128, hop=24, mels=8, center=center, drop_last=drop_last)
            module = LogMelFrontEnd(spec, 16_000)
            whole = module(sounds)
            for samples in range(200, 250):
                part = module(sounds[:, :samples])
                assert part.shape[2] == spec.frames(samples)
                # A frame that ends before the cut does not know of it.
                inner = (samples - 128) // 24 - 2
                torch.testing.assert_close(part[..., :inner], whole[..., :inner])


def test_channels_are_transformed_each_by_itself() -> None:
    spec, rate_hz, samples = CASES["whisper's, whole"]
    module = front_end("whisper's, whole")
    sounds = signals(samples, rate_hz)[:6]
    expected, allowed = (v.reshape(2, 3, 80, 100) for v in exact(spec, rate_hz, sounds))
    run = session(export(module, torch.zeros(2, 3, samples)))
    rows = sounds.reshape(2, 3, samples)
    for result in (module(torch.from_numpy(rows)).numpy(), run(rows)):
        assert (np.abs(result - expected) / allowed).max() <= 1
    assert run(rows[:1]).shape == (1, 3, 80, 100)


def test_a_loud_neighbour_in_the_batch_changes_nothing() -> None:
    sounds = torch.from_numpy(signals(16_000, 16_000))
    quiet, loud = 0.001 * sounds[:1], sounds[2:3]
    module = front_end("whisper's, whole")
    torch.testing.assert_close(module(torch.cat([quiet, loud]))[:1], module(quiet))


def test_values_far_below_the_maximum_are_raised_to_the_span() -> None:
    spec = LogMel(log="db", span=30.0)
    tone = 0.5 * torch.sin(torch.arange(16_000) * 0.3)[None]
    result = LogMelFrontEnd(spec, 16_000)(tone)
    assert float(result.max() - result.min()) == pytest.approx(30.0, abs=1e-5)


def test_autocast_does_not_lower_the_precision() -> None:
    sounds = torch.from_numpy(signals(16_000, 16_000))
    module = front_end("ast's")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lowered = module(sounds)
    torch.testing.assert_close(lowered, module(sounds), rtol=0, atol=0)


def test_a_checkpoint_carries_no_constants() -> None:
    module = front_end("whisper's, whole")
    assert not module.state_dict()
    assert not list(module.parameters())
    # 199 of 201 bins are inside the bank.
    assert module.kernels.shape == (398, 1, 400)


@pytest.mark.parametrize(
    ("sounds", "message"),
    [
        (torch.zeros(2, 16_000, dtype=torch.float64), r"torch\.float64 \[2, 16000\]"),
        (torch.zeros(16_000), r"\[16000\], but expects float32 PCM \[B, N\]"),
        (torch.zeros(1, 200), "200 samples are too few"),
    ],
)
def test_what_is_not_pcm_of_a_frame_or_more_is_refused(sounds: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        front_end("whisper's, whole")(sounds)


# --- the extractors that models were trained with ------------------------------------------

NEED_TRANSFORMERS = "compares with transformers' feature extractors"


@pytest.mark.models
@pytest.mark.parametrize("mels", [80, 128])
def test_whisper_sees_what_its_own_extractor_shows_it(mels: int) -> None:
    transformers = pytest.importorskip("transformers", reason=NEED_TRANSFORMERS)
    sounds = np.zeros((11, 480_000), np.float32)
    sounds[:, :160_000] = signals(160_000, 16_000)
    extractor = transformers.WhisperFeatureExtractor(feature_size=mels)
    theirs = extractor(list(sounds), sampling_rate=16_000, return_tensors="np")["input_features"]
    ours = LogMelFrontEnd(whisper_log_mel(mels), 16_000)(torch.from_numpy(sounds))
    assert ours.shape == (11, mels, 3000)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)


@pytest.mark.models
@pytest.mark.parametrize("fused", [False, True])
def test_clap_sees_what_its_own_extractor_shows_it(fused: bool) -> None:
    transformers = pytest.importorskip("transformers", reason=NEED_TRANSFORMERS)
    spec = clap_log_mel(fused=fused)
    sounds = signals(480_000, 48_000)
    extractor = transformers.ClapFeatureExtractor(truncation="fusion" if fused else "rand_trunc")
    theirs = extractor(list(sounds), sampling_rate=48_000, return_tensors="np")["input_features"]
    ours = LogMelFrontEnd(spec, 48_000)(torch.from_numpy(sounds)).numpy()
    assert ours.shape == (11, 1001, 64)
    difference = mel_time(spec, np.abs(ours - theirs[:, 0]))
    # Theirs is float64. In decibels float32 allows 1e-3 down to 47 dB below the loudest bin.
    _, allowed = exact(spec, 48_000, sounds)
    assert (difference / np.maximum(allowed, 1e-3)).max() <= 1
    # Which is nearly all of noise, and of sounds in a poor microphone's.
    assert np.quantile(difference[:5], 0.99) <= 1e-3


@pytest.mark.models
@pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")
def test_the_spectrogram_transformer_sees_what_its_own_extractor_shows_it() -> None:
    transformers = pytest.importorskip("transformers", reason=NEED_TRANSFORMERS)
    sounds = signals(164_080, 16_000)  # 10,255 ms: its 1,024 frames
    extractor = transformers.ASTFeatureExtractor()
    theirs = extractor(list(sounds), sampling_rate=16_000, return_tensors="np")["input_values"]
    ours = LogMelFrontEnd(ast_log_mel(), 16_000)(torch.from_numpy(sounds))
    assert ours.shape == (11, 1024, 128)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)
