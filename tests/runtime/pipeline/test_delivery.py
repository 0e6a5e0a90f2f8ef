from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from mmedge.runtime.pipeline.delivery import Delivery
from mmedge.runtime.pipeline.monitor import join_all
from mmedge.runtime.pipeline.status import SinkStatus, Status
from mmedge.runtime.pipeline.tick import Tick
from tests.runtime.pipeline.fakes import wait_until
from tests.runtime.sinks.ticks import make_status, make_tick


class Slow:
    """A sink that waits until it is let go."""

    name = "slow"

    def __init__(self) -> None:
        self.release = threading.Event()
        self.ticks: list[int] = []
        self.states = 0
        self.closed = 0

    def emit(self, tick: Tick) -> None:
        self.release.wait(20)
        if tick.number == 3:
            raise OSError("full")
        self.ticks.append(tick.number)

    def show(self, status: Status) -> None:
        self.states += 1

    def close(self) -> None:
        self.closed += 1


def test_the_oldest_make_way_and_what_waits_is_taken_before_the_end() -> None:
    sink = Slow()
    delivery = Delivery(sink, 4)
    delivery.put(make_tick(0))
    wait_until(lambda: not delivery._ticks)  # it has taken the first, and waits
    for number in range(1, 10):
        delivery.put(make_tick(number))
    for _ in range(5):
        delivery.show(make_status())
    assert delivery.status().dropped == 5
    sink.release.set()
    delivery.stop()
    delivery.join(2)
    assert sink.ticks == [0, 6, 7, 8, 9]
    assert sink.states == 1  # of the states only the newest
    assert sink.closed == 1
    assert delivery.status().taken == 5


def test_a_failure_is_shown_until_the_next_success() -> None:
    sink = Slow()
    sink.release.set()
    delivery = Delivery(sink, 4)
    delivery.put(make_tick(3))
    wait_until(lambda: delivery.status().degraded == "full")
    delivery.show(make_status())  # tells nothing of the predictions
    wait_until(lambda: sink.states == 1)
    assert delivery.status().degraded == "full"
    delivery.put(make_tick(4))
    wait_until(lambda: delivery.status().degraded == "")
    delivery.stop()
    delivery.join(2)


def test_several_are_waited_for_no_longer_than_one() -> None:
    sinks = [Slow() for _ in range(5)]
    deliveries = [Delivery(sink, 4) for sink in sinks]
    for delivery in deliveries:
        delivery.put(make_tick(0))
        delivery.stop()
    begin_s = time.monotonic()
    join_all(deliveries, 0.2)
    assert time.monotonic() - begin_s < 1
    for sink in sinks:
        sink.release.set()
    join_all(deliveries, 2)
    assert [sink.closed for sink in sinks] == [1] * 5


def test_no_count_is_lost_between_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(counts: SinkStatus, **changes: Any) -> SinkStatus:
        time.sleep(0.001)  # the other thread's turn, between reading and writing
        return replace(counts, **changes)

    sink = Slow()
    sink.release.set()
    delivery = Delivery(sink, 1)
    monkeypatch.setattr("mmedge.runtime.pipeline.delivery.replace", slowly)
    for _ in range(200):
        delivery.put(make_tick(0))
    delivery.stop()
    delivery.join(5)
    assert delivery.status().taken + delivery.status().dropped == 200
    assert delivery.status().taken == len(sink.ticks)
