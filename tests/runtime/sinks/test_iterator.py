from __future__ import annotations

import threading

import pytest

from mmedge.errors import ConfigError
from mmedge.runtime.pipeline.status import SinkStatus
from mmedge.runtime.sinks.iterator import IteratorConfig, TickIterator
from tests.runtime.sinks.ticks import make_tick


def test_a_slow_reader_loses_the_oldest_and_the_loss_is_counted() -> None:
    ticks = TickIterator(IteratorConfig(queue=3))
    for number in range(10):
        ticks.emit(make_tick(number))
    ticks.close()
    assert [tick.number for tick in ticks] == [7, 8, 9]
    assert ticks.dropped == 7
    assert ticks.status() == SinkStatus(name="iterator", taken=3, dropped=7)


def test_a_reader_waits_for_the_next_and_ends_at_close() -> None:
    ticks = TickIterator()
    got: list[int] = []
    reader = threading.Thread(target=lambda: got.extend(tick.number for tick in ticks))
    reader.start()
    ticks.emit(make_tick(5))
    ticks.close()
    ticks.close()
    reader.join(timeout=5)
    assert not reader.is_alive()
    assert (got, ticks.dropped) == ([5], 0)


def test_a_queue_for_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="queue=0"):
        IteratorConfig(queue=0)
