from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mmedge.errors import ConfigError  # noqa: E402
from mmedge.models.log_mel import LogMelFrontEnd  # noqa: E402
from mmedge.models.mel import mel_bank, taper  # noqa: E402
from mmedge.specs import LogMel  # noqa: E402
from mmedge.specs.presets import ast_log_mel, clap_log_mel, whisper_log_mel  # noqa: E402
from tests.models.front_ends import exact, export, mel_time, pure_tones, session, signals  # noqa: E402

pytestmark = pytest.mark.torch

# Every operator that a front-end may need; TensorRT 10.3 has all of them.
OPERATORS = {
    *("Add", "Clip", "Concat", "Log", "MatMul", "Max", "Mul", "Pad", "ReduceMax", "ReduceMean"),
    *("Reshape", "Slice", "Sqrt", "Sub", "Transpose"),
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
    "a single bin, so that no half is needed": (
        LogMel(mels=1, fft_size=16, hop=4, low_hz=900.0, high_hz=1100.0),
        16_000,
        1_000,
    ),
    "odd sizes": (
        LogMel(mels=20, fft_size=301, frame=300, hop=97, window="hamming", mel="htk"),
        11_025,
        9_999,
    ),
}


@cache
def front_end(case: str) -> LogMelFrontEnd:
    spec, rate_hz, _ = CASES[case]
    return LogMelFrontEnd(spec, rate_hz).eval()


@cache
def exported(case: str) -> Any:
    _, _, samples = CASES[case]
    return export(front_end(case), torch.zeros(2, samples))


@pytest.mark.parametrize("case", CASES)
def test_the_module_agrees_with_float64(case: str) -> None:
    spec, rate_hz, samples = CASES[case]
    sounds = np.concatenate([signals(samples, rate_hz), pure_tones(samples, rate_hz)])
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


def float32_stft(spec: LogMel, rate_hz: int, sounds: Any) -> Any:
    """What training code computes: natural log, power, ``[B, mels, T]``."""
    window = torch.from_numpy(taper(spec)).float()
    stft = torch.stft(
        torch.from_numpy(sounds), spec.fft_size, spec.hop, window=window, return_complex=True
    )
    bank = torch.from_numpy(mel_bank(spec, rate_hz)).float()
    return (bank @ stft.abs() ** 2).clamp(min=spec.floor).log().numpy()


# A tone's far bands are rounding alone, in any float32 transform: which is closer is chance.
@pytest.mark.parametrize(("make", "times"), [(signals, 1), (pure_tones, 2)])
@pytest.mark.parametrize(("fft_size", "rate_hz"), [(400, 16_000), (512, 16_000), (1024, 48_000)])
def test_where_float32_is_inexact_a_float32_stft_is_no_better(
    fft_size: int, rate_hz: int, make: Callable[[int, int], Any], times: float
) -> None:
    spec = LogMel(fft_size=fft_size, hop=rate_hz // 100, mels=64)
    module, sounds = LogMelFrontEnd(spec, rate_hz).eval(), make(rate_hz, rate_hz)
    expected, _ = exact(spec, rate_hz, sounds)
    theirs = np.abs(float32_stft(spec, rate_hz, sounds) - expected)
    assert theirs.max() > 1e-3  # there are such bands
    for run in (module, session(export(module, torch.zeros(2, rate_hz)))):
        given = torch.from_numpy(sounds) if run is module else sounds
        ours = np.abs(np.asarray(run(given)) - expected)
        for share in (0.9, 0.99):
            assert np.quantile(ours, share) <= times * np.quantile(theirs, share)


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


def test_the_callers_choice_of_tf32_returns_after_the_transform(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    multiply = torch.matmul

    def watched(*args: Any) -> Any:
        seen.append(torch.backends.cuda.matmul.fp32_precision)
        return multiply(*args)

    monkeypatch.setattr(torch, "matmul", watched)
    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            front_end("ast's")(torch.zeros(1, 16_000))
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    finally:
        torch.backends.cuda.matmul.fp32_precision = before
    assert seen == ["ieee"] * 3


def test_shapes_can_be_inferred_without_data() -> None:
    module = LogMelFrontEnd(LogMel(), 16_000).to("meta")
    assert module(torch.zeros(2, 16_000, device="meta")).shape == (2, 80, 101)


def test_a_checkpoint_carries_no_constants() -> None:
    module = front_end("whisper's, whole")
    assert not module.state_dict()
    assert not list(module.parameters())
    # 199 of 201 bins are inside the bank: 99 even ones and 100 odd ones, of half a frame.
    assert module.basis.shape == (200, 198)
    assert module.odd_basis.shape == (200, 200)


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
