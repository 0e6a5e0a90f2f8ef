"""What the front-ends' tests share: sounds, the same computation in float64, export, sessions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mmedge.models.mel import mel_bank, taper
from mmedge.specs import LogMel

Array = np.ndarray[Any, Any]


def signals(samples: int, rate_hz: int, seed: int = 0) -> Array:
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


def voice(seconds: Array, pitch_hz: float, rate_hz: int) -> Array:
    """Harmonics that fall by 12 dB per octave, three syllables a second."""
    numbers = range(1, min(30, int(rate_hz / 2 / pitch_hz) + 1))
    harmonics = sum(np.sin(2 * np.pi * pitch_hz * n * seconds) / n**2 for n in numbers)
    return np.asarray((0.1 + 0.2 * np.abs(np.sin(6 * np.pi * seconds))) * harmonics)


def pure_tones(samples: int, rate_hz: int) -> Array:
    """Forty tones, 50 Hz to 0.4 of the rate, in no noise but float32's rounding, float32
    ``[40, samples]``: most bands lie far below the loudest.
    """
    turns = np.geomspace(50, 0.4 * rate_hz, 40)[:, None] * np.arange(samples) / rate_hz
    return (0.5 * np.sin(2 * np.pi * turns + 1)).astype(np.float32)


def spectrum(spec: LogMel, sounds: Array, prepared: bool = True) -> Array:
    """Power in float64, by torch's transforms: ``[B, fft_size // 2 + 1, T]``."""
    values, window = torch.from_numpy(sounds).double(), torch.from_numpy(taper(spec))
    if spec.center:
        stft = torch.stft(
            values, spec.fft_size, spec.hop, spec.frame_size, window, return_complex=True
        )
        return np.asarray(stft.abs() ** 2)
    frames = values.unfold(-1, spec.frame_size, spec.hop)
    if spec.remove_dc and prepared:
        frames = frames - frames.mean(dim=-1, keepdim=True)
    if spec.preemphasis and prepared:
        before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        frames = frames - spec.preemphasis * before
    power = torch.fft.rfft(frames * window, spec.fft_size).abs() ** 2
    return np.asarray(power.transpose(1, 2))


def exact(spec: LogMel, rate_hz: int, sounds: Array) -> tuple[Array, Array]:
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


def export(module: torch.nn.Module, example: Any) -> Any:
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
    assert program is not None
    return program.model_proto


def session(model: Any) -> Callable[[Array], Array]:
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    opened = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    name = opened.get_inputs()[0].name
    return lambda sounds: opened.run(None, {name: sounds})[0]


def mel_time(spec: LogMel, result: Array) -> Array:
    return result.swapaxes(1, 2) if spec.layout == "time_mel" else result
