"""Windows of pushed sound end where they should, however the app's stamps stray."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pytest

from mmedge.runtime.pipeline.pushing import Pusher
from mmedge.runtime.quality import make_watch
from mmedge.runtime.rings import SoundRing, Window
from mmedge.runtime.samples import Block
from mmedge.specs import Sound

MS, S = 1_000_000, 1_000_000_000
RATE_HZ = 16_000
BEGIN_NS = 1_000 * S
MIC = Sound(rate_hz=RATE_HZ, window_ms=500, hop_ms=250)

Floats = npt.NDArray[np.float64]


class App:
    """Captures sound whose sample values count up, and pushes it in blocks of 20 ms."""

    def __init__(
        self,
        seconds: float,
        *,
        drift_ppm: float = 0.0,
        gaps_s: Mapping[float, float] | None = None,
    ) -> None:
        self.frames = 320
        count = round(seconds * RATE_HZ) // self.frames
        period_ns = self.frames / RATE_HZ * S / (1 + drift_ppm * 1e-6)
        self.true_ns = BEGIN_NS + np.arange(count) * period_ns
        for at_s, gap_s in (gaps_s or {}).items():
            self.true_ns[self.true_ns >= BEGIN_NS + at_s * S] += gap_s * S
        self.ends_ns = self.true_ns + period_ns
        self.period_ns = period_ns / self.frames

    def windows(self, stamps_ns: Floats | None, pushed_ns: Floats) -> Iterator[Window]:
        """Push everything, and give the windows."""
        pusher, ring = Pusher("mic", MIC), SoundRing("mic", MIC)
        for number, now_ns in enumerate(np.maximum.accumulate(pushed_ns)):
            first = number * self.frames
            samples = ((first + np.arange(self.frames)) % 30_000 + 1).astype(np.int16)
            stamp_ns = None if stamps_ns is None else int(stamps_ns[number])
            block = pusher(samples, stamp_ns, int(now_ns))
            assert isinstance(block, Block)
            ring.push(block)
            if (window := ring.take()) is not None:
                yield window

    def errors_ms(self, stamps_ns: Floats | None, pushed_ns: Floats | None = None) -> Floats:
        """How much later than its end a window's last sample was captured."""
        errors = []
        pushed_ns = self.ends_ns if pushed_ns is None else pushed_ns
        for window in self.windows(stamps_ns, pushed_ns):
            value = round(float(np.asarray(window.raw)[-1]) * 32_768) - 1
            near = int(np.searchsorted(self.true_ns, window.end_ns - 1)) * self.frames
            last = value + round((near - value) / 30_000) * 30_000
            block, rest = divmod(last, self.frames)
            stop_ns = self.true_ns[block] + (rest + 1) * self.period_ns
            errors.append((stop_ns - window.end_ns) / MS)
        return np.array(errors)


def strayed(app: App, by_ms: float, seed: int = 0) -> Floats:
    return app.true_ns + np.random.default_rng(seed).normal(0, by_ms, len(app.true_ns)) * MS


def held_up(app: App) -> Floats:
    """Pushed by a thread that wakes a little late, and in one of fifty cases much."""
    rng, count = np.random.default_rng(1), len(app.true_ns)
    late_ms = rng.gamma(2, 0.2, count) + np.where(rng.random(count) < 0.02, 30, 0)
    return app.ends_ns + late_ms * MS


def test_exact_stamps_are_kept_to_the_sample() -> None:
    app = App(60)
    errors_ms = app.errors_ms(app.true_ns)
    assert len(errors_ms) > 230
    assert np.abs(errors_ms).max() <= 0.07  # a sample


@pytest.mark.parametrize("drift_ppm", [-150.0, 0.0, 150.0])
@pytest.mark.parametrize("by_ms", [1.0, 3.0, 5.0])
def test_stamps_that_stray_move_no_window_by_a_millisecond(by_ms: float, drift_ppm: float) -> None:
    app = App(240, drift_ppm=drift_ppm)
    stamps_ns = strayed(app, by_ms)
    errors_ms = np.abs(app.errors_ms(stamps_ns))
    assert np.percentile(errors_ms, 99) <= 1.0
    assert errors_ms.max() <= 3 * by_ms
    raw_ms = np.abs(stamps_ns - app.true_ns) / MS
    assert np.percentile(raw_ms, 99) > 2.5 * by_ms  # what windows cut by the stamps would be off


def test_sound_without_stamps_is_placed_by_its_earliest_arrivals() -> None:
    app = App(240, drift_ppm=100.0)
    errors_ms = np.abs(app.errors_ms(None, held_up(app)))
    assert np.percentile(errors_ms, 99) <= 1.0
    assert errors_ms.max() <= 5.0


@pytest.mark.parametrize("gap_ms", [20, 40, 64, 700])
@pytest.mark.parametrize("by_ms", [0.0, 1.0])
def test_a_gap_is_seen_by_the_second_block_after_it(gap_ms: int, by_ms: float) -> None:
    app = App(60, gaps_s={30.0: gap_ms / 1000})
    stamps_ns = strayed(app, by_ms)
    pusher = Pusher("mic", MIC)
    runs, placed_ns = [], []
    for number, stamp_ns in enumerate(stamps_ns):
        block = pusher(np.zeros(320, np.int16), int(stamp_ns), int(app.ends_ns[number]))
        assert isinstance(block, Block)
        runs.append(block.run)
        placed_ns.append(block.time_ns)
    first = int(np.searchsorted(app.true_ns, BEGIN_NS + 30 * S))
    assert runs[first - 1] == 1
    assert set(runs[first + 1 :]) == {2}
    error_ms = np.abs(np.array(placed_ns) - app.true_ns)[first + 1 :] / MS
    assert error_ms.max() <= 0.001 + 4 * by_ms


def test_one_wild_stamp_is_no_gap() -> None:
    app = App(60)
    stamps_ns = app.true_ns.copy()
    stamps_ns[1_000::100] += 20 * MS
    assert np.abs(app.errors_ms(stamps_ns)).max() <= 0.07


@pytest.mark.parametrize("stamped", [True, False])
@pytest.mark.parametrize("rate_hz", [44_100, 15_900, 8_000])
def test_a_wrong_rate_of_pushed_sound_is_said(rate_hz: int, stamped: bool) -> None:
    app, watch = (
        App(40 * rate_hz / RATE_HZ, drift_ppm=(rate_hz / RATE_HZ - 1) * 1e6),
        make_watch(MIC),
    )
    stamps_ns = app.true_ns if stamped else None
    told = [watch(each) for each in app.windows(stamps_ns, app.ends_ns)]
    assert "wrong rate" in told[-1]
    assert "wrong rate" not in told[0]


def test_stamps_that_begin_to_stray_are_learned_anew() -> None:
    app = App(240)
    stamps_ns = np.where(app.true_ns < BEGIN_NS + 60 * S, app.true_ns, strayed(app, 5.0))
    errors_ms = np.abs(app.errors_ms(stamps_ns))
    assert np.percentile(errors_ms, 98) <= 1.0
