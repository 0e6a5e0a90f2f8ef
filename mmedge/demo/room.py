"""One second of sound as a microphone would hear it: a recorded word in a made-up room.

The words are recordings; room, noise, level and (for training) the speaker's pace are
changed by pure functions of a random generator.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["RATE_HZ", "SAMPLES", "change_voice", "hear", "room_noise"]

RATE_HZ = 8_000
SAMPLES = 8_000

Pcm = NDArray[np.float32]


def change_voice(rng: np.random.Generator, word: Pcm) -> Pcm:
    """Make one speaker into many: pace and pitch together, tilt of the spectrum, echo.

    Speed perturbation (Ko et al. 2015) and a decaying impulse response.

    Args:
        rng: all chance comes from here.
        word: float32 ``[N]`` in [-1, 1], 8 kHz.

    Returns:
        Float32 ``[N']``, 0.8 to 1.25 times as long, plus the echo.
    """
    pace = np.exp(rng.uniform(np.log(0.8), np.log(1.25)))
    at = np.arange(0, len(word) - 1, pace)
    changed = np.interp(at, np.arange(len(word)), word)
    spectrum = np.fft.rfft(changed)
    octaves = np.log2(np.linspace(0.02, 1, len(spectrum)))
    changed = np.fft.irfft(spectrum * 10 ** (rng.uniform(-4, 4) * octaves / 20), len(changed))
    if rng.random() < 0.5:
        length = int(rng.uniform(0.03, 0.25) * RATE_HZ)
        tail = rng.normal(size=length) * np.exp(-6 * np.arange(length) / length)
        tail *= rng.uniform(0.1, 0.7) / np.sqrt((tail**2).sum())
        tail[0] = 1.0
        changed = np.convolve(changed, tail)
    return changed.astype(np.float32)


def room_noise(rng: np.random.Generator, samples: int = SAMPLES) -> Pcm:
    """Noise of a room: coloured, swelling, sometimes with hum or clicks; RMS 1.

    Args:
        rng: all chance comes from here.
        samples: how many.

    Returns:
        Float32 ``[samples]``.
    """
    spectrum = np.fft.rfft(rng.normal(size=samples))
    hz = np.maximum(np.fft.rfftfreq(samples, 1 / RATE_HZ), 20.0)
    noise = np.fft.irfft(spectrum * hz ** rng.uniform(-1.2, 0.2), samples)
    noise /= np.sqrt((noise**2).mean())
    seconds = np.arange(samples) / RATE_HZ
    noise *= 1 + rng.uniform(0, 0.7) * np.sin(
        2 * np.pi * (rng.uniform(0.3, 4) * seconds + rng.random())
    )
    if rng.random() < 0.3:
        mains = 2 * np.pi * float(rng.choice([50.0, 60.0])) * seconds
        for harmonic in (1, 2, 3, 5):
            noise += rng.uniform(0, 0.6) / harmonic * np.sin(harmonic * mains + rng.uniform(0, 6))
    if rng.random() < 0.2:
        at = rng.integers(0, samples, size=int(rng.integers(1, 5)))
        noise[at] += rng.normal(0, 12, len(at))
    return (noise / np.sqrt((noise**2).mean())).astype(np.float32)


def hear(
    rng: np.random.Generator, word: Pcm | None, snr_db: float | None, samples: int = SAMPLES
) -> Pcm:
    """Put a word somewhere into a window of sound, at some level, with noise or without.

    Args:
        rng: all chance comes from here.
        word: float32 ``[N]``, 8 kHz; ``None`` for the empty room.
        snr_db: power of the word against that of the noise; ``None`` for no noise.
        samples: length of the window; the word lies within, but for up to a seventh of
            it before the beginning or after the end.

    Returns:
        Float32 ``[samples]`` in [-1, 1].
    """
    level = 10 ** (rng.uniform(-28, -3) / 20)  # peak, of full scale
    if word is None:
        # From an all but silent room to a loud one.
        floor = 10 ** (rng.uniform(-65, -12) / 20)
        return (room_noise(rng, samples) * np.float32(floor)).clip(-1, 1)
    word = word * np.float32(level / max(float(np.abs(word).max()), 1e-4))
    window = np.zeros(samples, np.float32)
    slack = len(word) // 7
    first = int(rng.integers(-slack, max(samples - len(word) + slack, 1 - slack)))
    begin, end = max(first, 0), min(first + len(word), samples)
    window[begin:end] = word[begin - first : end - first]
    if snr_db is not None:
        power = float((word**2).mean()) / 10 ** (snr_db / 10)
        window += room_noise(rng, samples) * np.float32(np.sqrt(power))
    return window.clip(-1, 1)
