"""Devices and servers killed and frozen while ``mmedge serve`` predicts, and back again."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live import rtsp, stage
from tests.live.rtsp import RtspServer
from tests.live.serving import Row, Serving
from tests.live.stage import Stage

pytestmark = pytest.mark.live

_log = logging.getLogger(__name__)

S = 1_000_000_000


@dataclass(frozen=True)
class Fault:
    """How a source goes and comes back.

    Attributes:
        name: for the log.
        modality: that is absent meanwhile; the other one is not.
        go: kills or freezes it.
        back: returns when it could be used again.
        times: how often.
        absent_s: within so long it is absent.
        fresh_s: within so long after its return it is predicted from again.
        closed: it comes back only when its source has been given up. PipeWire's own V4L2 layer
            crashes where a camera that has gone is closed just as another one comes.
    """

    name: str
    modality: str
    go: Callable[[], None]
    back: Callable[[], None]
    times: int
    absent_s: float = 1.0
    fresh_s: float = 2.0
    closed: bool = False


@pytest.fixture(scope="module")
def running() -> Iterator[Stage]:
    if stage.missing():
        pytest.skip(stage.missing())
    with Stage() as each:
        yield each


def test_camera_and_microphone_killed_and_frozen_fifteen_times(running: Stage) -> None:
    camera, sound = running.camera, running.sound
    faults = [
        Fault("camera killed", "camera", camera.unplug, camera.plug, 5, closed=True),
        Fault("camera frozen", "camera", camera.freeze, camera.thaw, 3, absent_s=2.0),
        Fault("microphone killed", "mic", sound.kill, sound.start, 4),
        Fault("microphone frozen", "mic", sound.freeze, sound.thaw, 3),
    ]
    options = ("--camera", "0", "--mic", "default")
    with Serving(*options, environment=running.environment) as serving:
        suffer(serving, faults)


def test_an_rtsp_server_killed_and_frozen_five_times(running: Stage) -> None:
    if rtsp.missing():
        pytest.skip(rtsp.missing())
    with RtspServer() as server:
        # A picture can be shown only from the next key frame on, of which there is one a second.
        faults = [
            Fault("server killed", "camera", server.close, server.start, 3, fresh_s=3.0),
            Fault("server frozen", "camera", server.freeze, server.thaw, 2, fresh_s=3.0),
        ]
        options = ("--stream", f"camera={server.url()}", "--mic", "default")
        with Serving(*options, environment=running.environment, prefix=()) as serving:
            suffer(serving, faults)


def suffer(serving: Serving, faults: list[Fault]) -> None:
    """Let every fault happen, and hold what must be true of each."""
    serving.until_present("camera", "mic")
    for fault in faults:  # what each leaves open at its first time is not counted
        happen(serving, fault)
    before = settled(serving)
    for fault in faults:
        for _ in range(fault.times - 1):
            happen(serving, fault)
    assert settled(serving, before) == before


def happen(serving: Serving, fault: Fault) -> None:
    modality, other = fault.modality, {"camera": "mic", "mic": "camera"}[fault.modality]
    serving.until_present("camera", "mic")
    first = len(serving.rows)
    gone_ns = time.monotonic_ns()
    fault.go()
    absent = serving.until(lambda row: modality not in row["basis"])
    absent_s = (absent["time_ns"] - gone_ns) / S
    if fault.closed:
        serving.until(lambda row: " is waiting: " in row["absent"].get(modality, ""))
    time.sleep(0.5)
    fault.back()
    back_ns = time.monotonic_ns()
    fresh = serving.until(lambda row: modality in row["basis"])
    fresh_s = (fresh["time_ns"] - back_ns) / S
    _log.info("%s: absent after %.2f s, fresh after %.2f s", fault.name, absent_s, fresh_s)
    assert absent_s < fault.absent_s, fault.name
    assert fresh_s < fault.fresh_s, (fault.name, serving.said)
    meanwhile = serving.rows[first:]
    assert all(other in row["basis"] for row in meanwhile), fault.name
    assert longest_pause_s(meanwhile) < 0.6, fault.name


def longest_pause_s(rows: list[Row]) -> float:
    times_ns = [row["time_ns"] for row in rows]
    return max(b - a for a, b in itertools.pairwise(times_ns)) / S


Footprint = tuple[int, int, int]


def settled(serving: Serving, wanted: Footprint | None = None) -> Footprint:
    """Give its threads, descriptors and children, once they no longer change or are as wanted."""
    serving.until_present("camera", "mic")
    now, since_s = footprint(serving.pid), time.monotonic()
    deadline = since_s + 15
    while now != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
        was, now = now, footprint(serving.pid)
        if was != now:
            since_s = time.monotonic()
        if wanted is None and time.monotonic() - since_s > 2:
            break
    return now


def footprint(pid: int) -> Footprint:
    process = Path("/proc", str(pid))
    tasks = list((process / "task").iterdir())
    children: list[str] = []
    for task in tasks:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            children += (task / "children").read_text().split()
    return len(tasks), len(list((process / "fd").iterdir())), len(children)
