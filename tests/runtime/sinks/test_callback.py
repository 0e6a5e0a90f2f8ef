from __future__ import annotations

from mmedge.runtime.pipeline.status import Status
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.sinks.callback import CallbackSink
from tests.runtime.sinks.ticks import make_status, make_tick


def test_a_function_gets_every_prediction_and_every_state() -> None:
    ticks: list[Tick] = []
    states: list[Status] = []
    sink = CallbackSink(ticks.append, on_status=states.append)
    tick, status = make_tick(), make_status()
    sink.emit(tick)
    sink.show(status)
    sink.close()
    assert (ticks, states) == ([tick], [status])


def test_the_state_is_optional() -> None:
    CallbackSink(print).show(make_status())
