from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mmedge.runtime.pipeline.supervisor import SourceSupervisor
from mmedge.runtime.samples import Block, Sample
from tests.runtime.pipeline.fakes import FakeSource, fresh_fake, wait_until


class Taken:
    """What a supervisor handed on."""

    def __init__(self) -> None:
        self.samples: list[Block] = []
        self.interruptions: list[str] = []

    def deliver(self, name: str, sample: Sample) -> None:
        assert name == "mic"
        assert isinstance(sample, Block)
        self.samples.append(sample)

    def interrupted(self, name: str, why: str) -> None:
        self.interruptions.append(why)


@contextmanager
def supervised(device: type[FakeSource]) -> Iterator[tuple[SourceSupervisor, Taken]]:
    taken = Taken()
    supervisor = SourceSupervisor(
        device, {"sound": "mic"}, taken.deliver, taken.interrupted, clock=time.monotonic_ns
    )
    supervisor.start()
    try:
        yield supervisor, taken
    finally:
        supervisor.stop()
        device.release.set()
        supervisor.join(2)


def test_a_source_that_gives_is_live_and_says_what_was_granted() -> None:
    with supervised(fresh_fake()) as (supervisor, taken):
        wait_until(lambda: len(taken.samples) > 5)
        status = supervisor.status()
    assert (status.state, status.reason, status.granted) == ("live", "", "1000 Hz")
    assert (status.opened, status.feeds, status.rate_hz) == (1, ("mic",), 1000)
    assert taken.interruptions == ["start"]


def test_a_source_that_is_gone_is_waited_for_and_comes_back_in_a_new_run() -> None:
    device = fresh_fake()
    with supervised(device) as (supervisor, taken):
        wait_until(lambda: len(taken.samples) > 2)
        device.mood = "gone"
        wait_until(lambda: supervisor.status().state == "waiting")
        assert supervisor.status().reason in ("it was unplugged", "it is not there")
        before = len(taken.samples)
        device.mood = "gives"
        begun_s = time.monotonic()
        wait_until(lambda: len(taken.samples) > before)
        assert time.monotonic() - begun_s < 2
    assert {block.run for block in taken.samples} == {1, 2}
    assert taken.interruptions == ["start", "opened again"]
    assert device.closed >= device.opened


def test_a_source_that_stalls_is_opened_again_though_it_reports_no_error() -> None:
    device = fresh_fake()
    with supervised(device) as (supervisor, taken):
        wait_until(lambda: len(taken.samples) > 2)
        device.mood = "stalls"
        wait_until(lambda: supervisor.status().state == "stalled")
        device.mood = "gives"
        wait_until(lambda: device.opened == 2)


def test_a_source_that_hangs_is_left_to_itself_and_another_takes_over() -> None:
    device = fresh_fake()
    with supervised(device) as (supervisor, taken):
        wait_until(lambda: len(taken.samples) > 2)
        device.mood = "hangs"
        time.sleep(0.05)
        device.mood = "gives"  # only the first life hangs
        before = len(taken.samples)

        def polled() -> bool:
            supervisor.poll()
            return len(taken.samples) > before

        wait_until(polled)
        assert device.opened == 2
        device.release.set()  # what hung wakes, and closes itself
        wait_until(lambda: device.closed == 1)


def test_one_that_always_hangs_does_not_collect_threads() -> None:
    device = fresh_fake()
    device.mood = "hangs"
    before = threading.active_count()
    with supervised(device) as (supervisor, _):
        for _ in range(100):
            supervisor.poll()
            supervisor._active_ns -= 10**12  # as if long ago
        assert threading.active_count() - before <= 4
        assert supervisor.status().state == "stalled"
        # It is told on, though no other life begins: three of the lives hang.
        assert supervisor.status().reason == "hangs for 97000.0 s"


def test_no_error_of_a_driver_shows_a_password(caplog: pytest.LogCaptureFixture) -> None:
    class Careless(FakeSource):
        def open(self) -> str:
            raise RuntimeError("cannot reach rtsp://admin:geheim@door/live")

    with supervised(Careless) as (supervisor, _):
        wait_until(lambda: supervisor.status().state == "waiting")
        assert supervisor.status().reason == "RuntimeError: cannot reach rtsp://door/live"
        wait_until(lambda: bool(caplog.records))
    assert "geheim" not in caplog.text


def test_what_has_come_to_its_end_is_not_opened_again() -> None:
    device = fresh_fake()
    device.mood = "ends"
    with supervised(device) as (supervisor, _):
        wait_until(lambda: supervisor.status().state == "ended")
        supervisor.poll()
        assert device.opened == 1
