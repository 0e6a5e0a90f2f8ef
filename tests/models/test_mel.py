from __future__ import annotations

import logging

import numpy as np
import pytest

pytest.importorskip("torch", reason="mmedge.models imports torch")

from mmedge.errors import ConfigError
from mmedge.models.mel import Scale, fourier_basis, hz_to_mel, mel_bank, mel_to_hz, taper
from mmedge.specs import LogMel

pytestmark = pytest.mark.torch


def plain(**changes: object) -> LogMel:
    """Nine bins, no norm, unless changed."""
    return LogMel.model_validate({"mels": 3, "fft_size": 16, "norm": None, **changes})


def test_mels_of_known_frequencies() -> None:
    np.testing.assert_allclose(hz_to_mel([440, 4000], "htk"), [549.638675, 2146.064528])
    np.testing.assert_allclose(hz_to_mel([440, 4000], "kaldi"), [549.641514, 2146.075609])
    # Slaney: three mels in 200 Hz up to 1 kHz, 27 more up to 6.4 kHz.
    np.testing.assert_allclose(hz_to_mel([0, 440, 1000, 6400], "slaney"), [0, 6.6, 15, 42])


@pytest.mark.parametrize("scale", ["htk", "slaney", "kaldi"])
def test_mels_go_back_to_the_frequencies_they_came_from(scale: Scale) -> None:
    hz = np.array([0.0, 20, 999, 1000, 1001, 7999, 24_000])
    assert np.abs(mel_to_hz(hz_to_mel(hz, scale), scale) - hz).max() < 1e-9


def test_triangles_meet_at_each_others_peaks() -> None:
    # Slaney's scale is linear below 1 kHz: edges at 0, 100, 200, 300 and 400 Hz.
    bank = mel_bank(plain(mel="slaney", fft_size=16), rate_hz=800)
    assert bank.round(9).tolist() == [
        [0, 0.5, 1, 0.5, 0, 0, 0, 0, 0],
        [0, 0, 0, 0.5, 1, 0.5, 0, 0, 0],
        [0, 0, 0, 0, 0, 0.5, 1, 0.5, 0],
    ]


def test_triangles_of_equal_area_have_the_area_of_one_hertz() -> None:
    # 200 Hz wide, so 0.01 high.
    bank = mel_bank(plain(mel="slaney", norm="slaney"), rate_hz=800)
    assert bank.max(axis=1).round(9).tolist() == [0.01, 0.01, 0.01]


# Computed with mel_filter_bank of transformers 5.23, bins 1 to 7 (0 and 8 are zero).
BANKS = {
    "htk": [
        [0.665639621, 0, 0, 0, 0, 0, 0],
        [0.334360379, 0.892782383, 0.431050381, 0, 0, 0, 0],
        [0, 0.107217617, 0.568949619, 0.983659212, 0.737744409, 0.491829606, 0.245914803],
    ],
    "slaney": [
        [0.736946738, 0, 0, 0, 0, 0, 0],
        [0.263053262, 0.843425472, 0.340118537, 0, 0, 0, 0],
        [0, 0.156574528, 0.659881463, 0.925019671, 0.693764753, 0.462509835, 0.231254918],
    ],
    "kaldi": [
        [0.591581095, 0, 0, 0, 0, 0, 0],
        [0.408418905, 0.857257453, 0.357128405, 0, 0, 0, 0],
        [0, 0.142742547, 0.642871595, 0.977398433, 0.671201891, 0.414628111, 0.193813961],
    ],
}


@pytest.mark.parametrize("scale", BANKS)
def test_banks_have_the_weights_that_transformers_gives(scale: str) -> None:
    bank = mel_bank(plain(mel=scale), rate_hz=16_000)
    np.testing.assert_allclose(bank[:, 1:8], BANKS[scale], atol=1e-9)
    np.testing.assert_allclose(bank[:, [0, 8]], 0, atol=1e-12)


def test_a_bank_of_equal_areas_between_two_frequencies() -> None:
    spec = plain(mels=2, mel="slaney", norm="slaney", low_hz=500.0, high_hz=7000.0)
    expected = [
        [0, 452.306491, 485.720367, 36.574264, 0, 0, 0, 0, 0],
        [0, 0, 132.212487, 337.657894, 271.313904, 180.875936, 90.437968, 0, 0],
    ]
    np.testing.assert_allclose(mel_bank(spec, rate_hz=16_000) * 1e6, expected, atol=1e-6)


def test_a_bank_above_half_the_sample_rate_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"ends at 4000\.0 Hz"):
        mel_bank(plain(high_hz=7000.0), rate_hz=8000)


def test_a_bank_between_two_bins_is_refused() -> None:
    with pytest.raises(ConfigError, match="Raise fft_size"):
        mel_bank(plain(low_hz=1100.0, high_hz=1900.0), rate_hz=16_000)


# As in the extractor that AST was trained with, whose fourth band is empty too.
def test_triangles_that_hold_no_bin_are_zero_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="mmedge")
    spec = plain(mels=128, fft_size=512, mel="kaldi", low_hz=20.0)
    empty = ~mel_bank(spec, rate_hz=16_000).any(axis=1)
    assert np.flatnonzero(empty).tolist() == [3]
    assert caplog.messages == ["1 of 128 mel triangles are too narrow to hold a bin"]


def test_tapers_have_their_textbook_values() -> None:
    def of(frame: int, **changes: object) -> list[float]:
        return [float(v) for v in taper(plain(frame=frame, **changes)).round(9)]

    assert of(4) == [0, 0.5, 1, 0.5]
    assert of(5, periodic=False) == [0, 0.5, 1, 0.5, 0]
    assert of(4, window="hamming") == [0.08, 0.54, 1, 0.54]
    assert of(3, window="rectangular") == [1, 1, 1]
    povey = [0, 0.405202172, 0.918228469, 0.918228469, 0.405202172, 0]
    assert of(6, window="povey", periodic=False) == povey


def test_the_basis_of_four_samples_is_the_textbook_transform() -> None:
    real = [[1, 1, 1], [1, 0, -1], [1, -1, 1], [1, 0, -1]]
    imaginary = [[0, 0, 0], [0, -1, 0], [0, 0, 0], [0, 1, 0]]
    basis = fourier_basis(4, np.arange(3), taps=4)
    assert np.abs(basis - np.hstack([real, imaginary])).max() < 1e-12


def test_only_the_bins_and_samples_asked_for_are_in_the_basis() -> None:
    whole = fourier_basis(64, np.arange(33), taps=64)
    part = fourier_basis(64, np.array([3, 17]), taps=20)
    np.testing.assert_array_equal(part, whole[:20, [3, 17, 36, 50]])


def test_large_angles_keep_their_digits() -> None:
    tone = np.exp(2j * np.pi * (4095 * np.arange(8192) % 8192) / 8192)
    real, imaginary = fourier_basis(8192, np.array([4095]), taps=8192).T
    assert abs((real + 1j * imaginary) @ tone / 8192 - 1) < 1e-15
