"""A device that keeps another rate than it promised, and one that loses samples."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from mmedge.runtime.quality import make_watch
from mmedge.runtime.rings import SoundRing, Window
from mmedge.runtime.samples import Block
from mmedge.runtime.windows.audio_clock import AudioClock
from mmedge.runtime.windows.rate_watch import RateWatch
from mmedge.specs import Sound
from tests.runtime.windows.test_audio_clock import (
    BOOT_NS,
    MS,
    RATE_HZ,
    Device,
    S,
    calm,
    errors_ms,
    make_device,
    place,
)

PERIOD_NS = S / RATE_HZ
MIC = Sound(rate_hz=RATE_HZ, window_ms=500, hop_ms=250)


def delivering(rate_hz: float, seconds: float = 40.0) -> Device:
    """One that promises 16 kHz; ``seconds`` are those of the clock on the wall."""
    drift_ppm = (rate_hz / RATE_HZ - 1) * 1e6
    return make_device(seconds * rate_hz / RATE_HZ, drift_ppm=drift_ppm, jitter=calm)


def bursts(seed: int, seconds: float) -> dict[float, float]:
    """Losses of 10 to 120 ms, some together, then none for a while: 4 % on the whole."""
    rng = np.random.default_rng(seed)
    begins_s = np.cumsum(rng.choice([0.1, 0.3, 2.0, 5.0], 1000))
    return {float(at): float(rng.uniform(0.01, 0.12)) for at in begins_s[begins_s < seconds]}


def windows(device: Device) -> Iterator[Window]:
    """What an encoder would see, block by block."""
    clock, ring = AudioClock(RATE_HZ), SoundRing("mic", MIC)
    for placed in place(clock, device):
        ring.push(
            Block(
                placed.time_ns, np.full((320, 1), 999, np.int16), RATE_HZ, placed.run, placed.index
            )
        )
        window = ring.take()
        if window is not None:
            yield window


def complaints(device: Device) -> list[tuple[float, tuple[str, ...]]]:
    """Seconds since the beginning, and what is wrong with the window that ended then."""
    watch = make_watch(MIC)
    return [((each.end_ns - BOOT_NS) / S, watch(each)) for each in windows(device)]


@pytest.mark.parametrize("rate_hz", [44_100, 17_000, 15_900, 8_000])
@pytest.mark.parametrize("stamped", [True, False])
def test_another_rate_than_the_promised_one_is_found_and_kept(rate_hz: int, stamped: bool) -> None:
    device, clock = delivering(rate_hz), AudioClock(RATE_HZ)
    if not stamped:
        device.device_ns[:] = 0
    placed = place(clock, device)
    known = 2 + next(i for i, each in enumerate(placed) if each.run == placed[-1].run)
    assert (device.true_ns[known] - BOOT_NS) / S < (6 if stamped else 16)
    assert np.abs(errors_ms(placed, device)[known:]).max() <= 1.0
    assert clock.rate_hz == pytest.approx(rate_hz, rel=20e-6)
    assert placed[-1].drift_ppm == pytest.approx((rate_hz / RATE_HZ - 1) * 1e6, abs=20)


@pytest.mark.parametrize("rate_hz", [44_100, 15_900, 8_000])
def test_a_wrong_rate_is_said_with_the_windows_and_never_taken_back(rate_hz: int) -> None:
    told = complaints(delivering(rate_hz))
    first_s = next(at_s for at_s, wrong in told if "wrong rate" in wrong)
    assert 10 < first_s < 16.5
    assert {wrong for at_s, wrong in told if at_s >= first_s} == {("wrong rate",)}


def test_no_time_lies_far_ahead_while_a_device_gives_too_much() -> None:
    device = delivering(44_100)
    assert errors_ms(place(AudioClock(RATE_HZ), device), device).max() < 250


@pytest.mark.parametrize("seed", range(5))
def test_bursts_of_losses_are_losses_however_much_they_add_up_to(seed: int) -> None:
    lost_s = bursts(seed, 120)
    device, clock = make_device(120, losses=lost_s, jitter=calm), AudioClock(RATE_HZ)
    placed = place(clock, device)
    assert clock.lost_ns / S == pytest.approx(sum(lost_s.values()), abs=0.05)
    assert sum(lost_s.values()) > 2
    assert clock.rate_hz == pytest.approx(RATE_HZ, rel=300e-6)
    assert np.percentile(np.abs(errors_ms(placed, device)), 99) <= 1.0
    assert not any("wrong rate" in wrong for _, wrong in complaints(device))


def test_a_block_lost_every_second_is_a_loss_every_second() -> None:
    device = make_device(60, losses={float(at): 0.02 for at in range(1, 60)}, jitter=calm)
    clock = AudioClock(RATE_HZ)
    placed = place(clock, device)
    assert (clock.run, placed[-1].run) == (59, 59)
    assert clock.lost_ns / MS == pytest.approx(59 * 20, abs=30)
    assert not any("wrong rate" in wrong for _, wrong in complaints(device))


@pytest.mark.parametrize("drift_ppm", [-200.0, 200.0])
def test_a_quartz_that_drifts_is_no_wrong_rate(drift_ppm: float) -> None:
    device, clock = make_device(60, drift_ppm=drift_ppm), AudioClock(RATE_HZ)
    assert place(clock, device)[-1].run == 0
    assert {wrong for _, wrong in complaints(device)} == {()}


def test_one_pause_or_one_loss_amid_a_stretch_is_no_rate() -> None:
    watch = RateWatch()
    assert watch.see(0, 0, PERIOD_NS) is None
    assert watch.see(320, 6 * S, PERIOD_NS) is None
    for lost_ms in (3, 4, 10, 20):
        watch = RateWatch()
        for block in range(1000):
            lost_ns = lost_ms * MS * (block >= 125)
            assert watch.see(320 * block, 20 * MS * block + lost_ns, PERIOD_NS) is None


def test_a_rate_that_comes_right_again_is_kept_again() -> None:
    device = make_device(
        60, drift_ppm=lambda at_s: np.where(at_s < 15, -500_000.0, 0.0), jitter=calm
    )
    clock = AudioClock(RATE_HZ)
    placed = place(clock, device)
    assert clock.rate_hz == pytest.approx(RATE_HZ, rel=20e-6)
    right = int(np.searchsorted(device.true_ns, BOOT_NS + 41 * S))
    assert np.abs(errors_ms(placed, device)[right:]).max() <= 1.0
    assert not math.isnan(placed[-1].drift_ppm)
