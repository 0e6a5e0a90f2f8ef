"""A camera that OpenCV takes for a real one: PipeWire's, through V4L2."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.live import pipewire
from tests.live.pipewire import PipeWire
from tests.live.rtsp import ROOT

pytestmark = pytest.mark.live


class Watcher:
    """`tests.live.camera_watch`, running; what it tells is read here."""

    def __init__(self, rig: PipeWire) -> None:
        self.process = subprocess.Popen(
            ["pw-v4l2", sys.executable, "-m", "tests.live.camera_watch", "60"],
            cwd=ROOT,
            env=rig.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """What it tells, up to the first that is wanted."""
        told: list[dict[str, Any]] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told.append(json.loads(line))
            if wanted(told[-1]):
                return told
        raise AssertionError(f"it ended: {told[-3:]} {self.process.communicate()[1]}")

    def frames(self, count: int) -> list[dict[str, Any]]:
        return [self.until(lambda told: "age_ms" in told)[-1] for _ in range(count)]


@pytest.fixture
def rig() -> Iterator[PipeWire]:
    if pipewire.missing():
        pytest.skip(pipewire.missing())
    with PipeWire() as running:
        yield running


@pytest.fixture
def watcher(rig: PipeWire) -> Iterator[Watcher]:
    running = Watcher(rig)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


def test_camera_0_is_listed_opened_stamped_lost_and_found_again(
    rig: PipeWire, watcher: Watcher
) -> None:
    (listed,) = watcher.until(lambda told: "cameras" in told)
    assert listed["cameras"] == [[0, "fakecam", 1]]
    granted = watcher.until(lambda told: "granted" in told)[-1]
    assert granted["granted"] == "640x480 YUYV at 30 Hz"
    frames = watcher.frames(60)[10:]
    assert {tuple(frame["shape"]) for frame in frames} == {(480, 640, 3)}
    assert np.median([frame["age_ms"] for frame in frames]) < 20
    assert abs(np.median([frame["error_ms"] for frame in frames])) < 5

    rig.unplug()
    unplugged_s = time.monotonic()
    lost = watcher.until(lambda told: "lost" in told)[-1]
    assert lost["at_s"] - unplugged_s < 2
    assert lost["closing_s"] < 1

    rig.plug()
    again = watcher.until(lambda told: "granted" in told)[-1]
    assert again["granted"] == "640x480 YUYV at 30 Hz"
    frames = watcher.frames(20)
    assert max(frame["age_ms"] for frame in frames) < 1_000
