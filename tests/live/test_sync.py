"""What happens at once is captured at once: a flash and a click."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest

from tests.live import stage
from tests.live.rtsp import ROOT
from tests.live.stage import SOUND_HZ, Stage

pytestmark = pytest.mark.live

_log = logging.getLogger(__name__)

NAMES = ("flash", "click")
TIMES = 30
EVERY_MS = 400
FLASH_MS = 100


def test_a_flash_and_a_click_at_once_are_captured_at_once() -> None:
    if stage.missing():
        pytest.skip(stage.missing())
    film, sound = flashes(), clicks()
    seconds = 2 + len(sound) / SOUND_HZ
    with Stage() as running:
        # Dark before the camera is opened: the first picture of a film stays until it begins.
        running.perform(film, None, in_s=60)
        watcher = subprocess.Popen(
            ["pw-v4l2", sys.executable, "-m", "tests.live.sync_watch", str(seconds)],
            cwd=ROOT,
            env=running.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "ready\n"
        begin_ns = running.perform(film, sound)
        told = [line.split() for line in watcher.communicate(timeout=seconds + 20)[0].splitlines()]
    due_ns = [begin_ns + (turn + 1) * EVERY_MS * 1_000_000 for turn in range(TIMES)]
    seen, heard = (
        nearest([int(ns) for what, ns in told if what == name], due_ns) for name in NAMES
    )
    offsets_ms = np.abs(seen - heard) / 1e6
    median_ms, p95_ms = np.percentile(offsets_ms, (50, 95))
    late_ms = [float(np.median(each - due_ns)) / 1e6 for each in (seen, heard)]
    _log.info("offset %.1f ms, p95 %.1f ms; after the moment: %s", median_ms, p95_ms, late_ms)
    assert median_ms <= 20
    assert p95_ms <= 40


def nearest(found_ns: list[int], due_ns: list[int]) -> np.ndarray:  # type: ignore[type-arg]
    """Give the one that belongs to each moment, int64 ``[n]``; every one must be there."""
    assert len(found_ns) == len(due_ns)
    return np.array([min(found_ns, key=lambda ns: abs(ns - due)) for due in due_ns])


def flashes() -> np.ndarray:  # type: ignore[type-arg]
    """Dark, and for a tenth of a second bright, at 30 Hz."""
    at_ms = np.arange((TIMES + 1) * EVERY_MS * 30 // 1_000) * 1_000 / 30
    bright = (at_ms >= EVERY_MS - 1) & ((at_ms + 1) % EVERY_MS < FLASH_MS)
    return np.where(bright, 235, 16).astype(np.uint8)[:, None, None].repeat(48, 1).repeat(64, 2)


def clicks() -> np.ndarray:  # type: ignore[type-arg]
    """At the same times a tone of 1 kHz, 5 ms long."""
    at_ms = np.arange((TIMES + 1) * EVERY_MS * SOUND_HZ // 1_000) * 1_000 / SOUND_HZ
    loud = (at_ms >= EVERY_MS) & (at_ms % EVERY_MS < 5)
    return np.where(loud, 24_000 * np.cos(2 * np.pi * at_ms), 0).astype(np.int16)
