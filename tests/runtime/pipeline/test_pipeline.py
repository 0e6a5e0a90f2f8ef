from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.errors import ConfigError, ProofError
from mmedge.runtime.pipeline.config import EventConfig, LiveConfig
from mmedge.runtime.pipeline.feeds import Feed
from mmedge.runtime.pipeline.pipeline import Pipeline
from mmedge.runtime.pipeline.status import Status
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.samples import Block
from mmedge.specs import Classification
from tests.fakes import linear_bundle
from tests.runtime.pipeline.fakes import MS, fresh_fake, wait_until

FAST = LiveConfig(heartbeat_ms=50, hang_ms=200, explain=False)


class Kept:
    """A sink that keeps everything."""

    name = "kept"

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.states: list[Status] = []
        self.closed = False

    def emit(self, tick: Tick) -> None:
        self.ticks.append(tick)

    def show(self, status: Status) -> None:
        self.states.append(status)

    def close(self) -> None:
        self.closed = True


def sound(value: float) -> np.ndarray[Any, Any]:
    return np.full(2, value, np.float32)


def push(pipeline: Pipeline, name: str, value: float) -> None:
    """A window of two samples at 1000 Hz that ends now, on the grid of 2 ms."""
    now_ns = time.monotonic_ns() // (2 * MS) * 2 * MS
    pipeline.push(name, sound(value), now_ns - 2 * MS)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def pipeline(kept: Kept) -> Iterator[Pipeline]:
    with Pipeline(linear_bundle(2), sinks=[kept], config=FAST) as opened:
        yield opened


def test_what_is_pushed_is_predicted_from_and_the_rest_is_absent(
    pipeline: Pipeline, kept: Kept
) -> None:
    push(pipeline, "ant", 0.5)
    wait_until(lambda: bool(kept.ticks))
    tick = kept.ticks[0]
    assert tick.prediction.presence == {"ant": True, "bee": False}
    assert tick.absent == {"bee": "nothing has come"} or "no source" in tick.absent["bee"]
    with Predictor(linear_bundle(2)) as predictor:
        expected = predictor.predict(ant=sound(0.5))
    assert tick.prediction.tasks["level"].scores == pytest.approx(
        expected.tasks["level"].scores, rel=1e-3
    )
    assert set(tick.latency_ns) == {"ant/prepare", "ant/encode", "fuse"}


def test_a_prediction_is_made_now_and_then_though_nothing_comes(
    pipeline: Pipeline, kept: Kept
) -> None:
    push(pipeline, "ant", 0.5)
    wait_until(lambda: len(kept.ticks) >= 3)
    assert [tick.number for tick in kept.ticks] == list(range(len(kept.ticks)))
    assert kept.ticks[0].fresh
    assert not kept.ticks[2].fresh


def test_what_cannot_be_pushed_is_refused(pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError, match="'fly' cannot be pushed; what can be is: ant, bee"):
        pipeline.push("fly", sound(1))
    with pytest.raises(ConfigError, match="takes sound"):
        pipeline.push("ant", "a text")
    with pytest.raises(ConfigError, match="NaN"):
        pipeline.push("ant", sound(float("nan")))


def test_the_iterator_ends_with_the_pipeline_and_the_sinks_are_closed(kept: Kept) -> None:
    pipeline = Pipeline(linear_bundle(1), sinks=[kept], config=FAST)
    got: list[int] = []
    with pipeline:
        push(pipeline, "ant", 0.1)
        for tick in pipeline:
            got.append(tick.number)
            if tick.number == 2:
                pipeline.close()
    assert got == [0, 1, 2]
    assert kept.closed


def test_a_model_that_raises_is_degraded_skipped_and_opened_again(
    pipeline: Pipeline, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = pipeline._engine.predictor
    real, broken, reopened = predictor.encode, True, []

    def encode(name: str, arrays: Mapping[str, Any], *rest: Any, **more: Any) -> Any:
        if broken:
            raise RuntimeError("no kernel")
        return real(name, arrays, *rest, **more)

    monkeypatch.setattr(predictor, "encode", encode)
    monkeypatch.setattr(predictor, "reopen", reopened.append)
    for _ in range(3):
        push(pipeline, "ant", 0.5)
        time.sleep(0.01)
    wait_until(lambda: reopened == ["ant"])
    status = pipeline.status().modalities["ant"]
    assert status.degraded == "its encoder fails: no kernel"
    broken = False

    def sound_again() -> bool:
        push(pipeline, "ant", 0.5)
        return bool(kept.ticks) and kept.ticks[-1].prediction.presence["ant"]

    wait_until(sound_again)
    assert pipeline.status().modalities["ant"].degraded == ""


def test_an_encoder_that_hangs_is_abandoned_and_another_goes_on(
    pipeline: Pipeline, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = pipeline._engine.predictor
    real, hung, release = predictor.encode, threading.Event(), threading.Event()

    def encode(name: str, arrays: Mapping[str, Any], *rest: Any, **more: Any) -> Any:
        if not hung.is_set():
            hung.set()
            release.wait(20)
        return real(name, arrays, *rest, **more)

    monkeypatch.setattr(predictor, "encode", encode)
    push(pipeline, "ant", 0.5)
    assert hung.wait(2)

    def goes_on() -> bool:
        push(pipeline, "ant", 0.25)
        return bool(kept.ticks) and kept.ticks[-1].prediction.presence["ant"]

    wait_until(goes_on)
    release.set()
    encodings = [tick.basis["ant"].encoding for tick in kept.ticks if "ant" in tick.basis]
    assert encodings == sorted(encodings)


def test_a_slow_encoder_skips_and_the_other_keeps_its_rate(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = pipeline._engine.predictor
    real = predictor.encode

    def encode(name: str, arrays: Mapping[str, Any], *rest: Any, **more: Any) -> Any:
        if name == "ant":
            time.sleep(0.05)
        return real(name, arrays, *rest, **more)

    monkeypatch.setattr(predictor, "encode", encode)
    for _ in range(100):
        push(pipeline, "ant", 0.1)
        push(pipeline, "bee", 0.1)
        time.sleep(0.004)
    modalities = pipeline.status().modalities
    assert modalities["ant"].skipped > 20
    assert modalities["bee"].encodings > 4 * modalities["ant"].encodings


def test_a_bundle_is_swapped_without_dropping_the_source() -> None:
    device = fresh_fake()
    feeds = [Feed(make=device, feeds={"sound": "ant"})]
    first, second = linear_bundle(1), linear_bundle(1, weights={"level": np.ones((1, 2, 1))})
    kept = Kept()
    with Pipeline(first, feeds=feeds, sinks=[kept], config=FAST) as pipeline:
        wait_until(lambda: bool(kept.ticks) and kept.ticks[-1].fresh)

        def refuse(bundle: Any) -> None:
            raise ProofError("it is another model")

        with pytest.raises(ProofError):
            pipeline.swap(second, refuse)
        assert pipeline.status().bundle == first.digest
        pipeline.swap(second)
        wait_until(lambda: kept.ticks[-1].bundle == second.digest and kept.ticks[-1].fresh)
    assert device.opened == 1
    assert {tick.bundle for tick in kept.ticks} == {first.digest, second.digest}


def test_a_source_that_goes_makes_its_modality_absent_and_says_why() -> None:
    device = fresh_fake()
    kept = Kept()
    feeds = [Feed(make=device, feeds={"sound": "ant"})]
    config = LiveConfig(heartbeat_ms=50, max_age_ms={"ant": 200})
    with Pipeline(linear_bundle(2), feeds=feeds, sinks=[kept], config=config) as pipeline:
        wait_until(lambda: bool(kept.ticks) and kept.ticks[-1].prediction.presence["ant"])
        device.mood = "gone"
        gone_s = time.monotonic()
        wait_until(lambda: not kept.ticks[-1].prediction.presence["ant"])
        assert time.monotonic() - gone_s < 1
        wait_until(lambda: "waiting" in kept.ticks[-1].absent["ant"])
        assert kept.ticks[-1].absent["bee"] == "no source was given"
        device.mood = "gives"
        wait_until(lambda: kept.ticks[-1].prediction.presence["ant"])
        assert pipeline.status().sources[0].opened == 2


def test_a_feed_for_what_the_model_lacks_is_refused() -> None:
    device = fresh_fake()
    with pytest.raises(ConfigError, match="no sound modality 'fly'"):
        Pipeline(linear_bundle(1), feeds=[Feed(make=device, feeds={"sound": "fly"})])
    twice = [Feed(make=device, feeds={"sound": "ant"})] * 2
    with pytest.raises(ConfigError, match="two sources"):
        Pipeline(linear_bundle(1), feeds=twice)


def test_without_a_sink_nothing_is_written_and_nothing_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)

    def refuse(*arguments: Any, **more: Any) -> Any:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    with caplog.at_level(logging.DEBUG), Pipeline(linear_bundle(1), config=FAST) as pipeline:
        push(pipeline, "ant", 0.123)
        next(iter(pipeline))
    assert list(tmp_path.iterdir()) == []
    assert "0.123" not in caplog.text


def test_a_sink_that_fails_is_degraded_and_the_others_go_on() -> None:
    class Full(Kept):
        name = "full"

        def emit(self, tick: Tick) -> None:
            if tick.number < 3:
                raise OSError(28, "No space left on device")
            super().emit(tick)

    full, kept = Full(), Kept()
    with Pipeline(linear_bundle(1), sinks=[full, kept], config=FAST) as pipeline:
        push(pipeline, "ant", 0.5)
        wait_until(lambda: len(kept.ticks) >= 2)
        states = {each.name: each.degraded for each in pipeline.status().sinks}
        assert "No space left" in states["full"]
        assert states["kept"] == ""
        wait_until(lambda: len(full.ticks) >= 2)
        assert pipeline.status().sinks[0].degraded == ""


def test_a_sink_that_hangs_delays_nobody_and_loses_the_oldest() -> None:
    class Stuck(Kept):
        name = "stuck"
        release = threading.Event()

        def emit(self, tick: Tick) -> None:
            super().emit(tick)
            self.release.wait(20)

    stuck, kept = Stuck(), Kept()
    config = LiveConfig(heartbeat_ms=5, queue=4)
    with Pipeline(linear_bundle(1), sinks=[stuck, kept], config=config) as pipeline:
        push(pipeline, "ant", 0.5)
        wait_until(lambda: len(kept.ticks) > 12)
        assert pipeline.status().sinks[0].dropped >= 6
        stuck.release.set()
        wait_until(lambda: len(stuck.ticks) > 1)


def test_closing_takes_less_than_five_seconds_whatever_hangs() -> None:
    device = fresh_fake()
    feeds = [Feed(make=device, feeds={"sound": "ant"})]
    pipeline = Pipeline(linear_bundle(1), feeds=feeds, config=FAST)
    pipeline.start()
    device.mood = "hangs"
    time.sleep(0.1)
    begun_s = time.monotonic()
    pipeline.close()
    assert time.monotonic() - begun_s < 5
    device.release.set()


def test_a_pipeline_that_could_not_start_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Predictor) -> None:
        raise MemoryError

    monkeypatch.setattr(Predictor, "warm_up", fail)
    device = fresh_fake()
    pipeline = Pipeline(linear_bundle(1), feeds=[Feed(make=device, feeds={"sound": "ant"})])
    with pytest.raises(MemoryError):
        pipeline.start()
    pipeline.close()
    assert device.closed == device.opened


def test_predictions_are_numbered_on_over_a_swap() -> None:
    first, second = linear_bundle(1), linear_bundle(1, weights={"level": np.ones((1, 2, 1))})
    kept = Kept()
    with Pipeline(first, sinks=[kept], config=FAST) as pipeline:
        push(pipeline, "ant", 0.5)
        wait_until(lambda: len(kept.ticks) > 3)
        pipeline.swap(second)
        push(pipeline, "ant", 0.5)
        wait_until(lambda: kept.ticks[-1].bundle == second.digest)
    assert [tick.number for tick in kept.ticks] == list(range(len(kept.ticks)))


def test_a_bug_in_the_watch_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    # The thread's own end is seen by the service; here it need not be printed.
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with Pipeline(linear_bundle(1), config=FAST) as pipeline:
        monkeypatch.setattr(pipeline._engine, "poll", fail)
        wait_until(lambda: isinstance(pipeline.monitor.failure, ZeroDivisionError))


def test_a_loop_over_predictions_ends_with_the_bug_that_ended_the_watch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with Pipeline(linear_bundle(1), config=FAST) as pipeline:
        monkeypatch.setattr(pipeline._engine, "poll", fail)
        with pytest.raises(ZeroDivisionError):
            list(pipeline)


@pytest.mark.parametrize("pushed", ["bee", "ant"])
def test_a_bundle_that_does_not_take_what_comes_is_not_swapped_in(pushed: str) -> None:
    first, second = linear_bundle(2), linear_bundle(1)  # the second has no bee
    with Pipeline(first, config=FAST) as pipeline:
        stereo = np.zeros((2, 2), np.int16)
        pipeline.push("bee", sound(0.5))
        if pushed == "ant":
            mono, second = pipeline._engine.rings["ant"], linear_bundle(2)
            pipeline._newest.keep("ant", Block(0, stereo, 1000, 1, 0))
            with pytest.raises(ConfigError):  # so would its own ring
                mono.check(Block(0, stereo, 1000, 1, 0))
        with pytest.raises(ConfigError, match=pushed):
            pipeline.swap(second)
        assert pipeline.status().bundle == first.digest
        push(pipeline, "bee", 0.5)  # the old one is whole
        assert next(iter(pipeline)).bundle == first.digest


def test_a_swap_while_only_recording_begins_no_prediction() -> None:
    before = threading.active_count()
    with Pipeline(linear_bundle(1), config=FAST, predict=False) as pipeline:
        alive = threading.active_count()
        pipeline.swap(linear_bundle(1))
        assert threading.active_count() == alive
        push(pipeline, "ant", 0.5)
        time.sleep(0.2)
        assert pipeline.status().ticks == 0
    wait_until(lambda: threading.active_count() <= before)


def test_an_old_engine_that_cannot_be_closed_leaves_no_half_swap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = linear_bundle(1), linear_bundle(1, weights={"level": np.ones((1, 2, 1))})
    with Pipeline(first, config=FAST) as pipeline:
        old = pipeline._engine
        real = old.close

        def fail(*limit: float) -> None:
            real(*limit)
            raise OSError("it cannot be closed")

        monkeypatch.setattr(old, "close", fail)
        with pytest.raises(OSError, match="it cannot be closed"):
            pipeline.swap(second)
        push(pipeline, "ant", 0.5)
        wait_until(lambda: next(iter(pipeline)).bundle == second.digest)


def test_what_a_loop_over_predictions_loses_shows_in_the_state() -> None:
    with Pipeline(linear_bundle(1), config=LiveConfig(heartbeat_ms=5, queue=2)) as pipeline:
        assert pipeline.status().sinks == ()  # nobody asks for them
        push(pipeline, "ant", 0.5)
        next(iter(pipeline))
        wait_until(lambda: pipeline.status().sinks[0].dropped > 3)
        assert (pipeline.status().sinks[0].name, pipeline.status().sinks[0].taken) == (
            "iterator",
            1,
        )


def test_an_event_goes_on_over_a_swap_and_ends_once() -> None:
    spec = {"side": Classification(labels=("left", "right"))}
    always = {"side": np.array([[[9.0, -9.0], [9.0, -9.0]]])}
    never = {"side": np.array([[[-9.0, 9.0], [-9.0, 9.0]]])}
    first = linear_bundle(1, tasks=spec, weights=always)
    same = linear_bundle(1, tasks=spec, weights=never)
    other = linear_bundle(1)  # knows no side
    events = EventConfig(smooth_ms=0, debounce_ms=0, hold_ms=0)
    kept = Kept()
    config = LiveConfig(heartbeat_ms=20, events=events)
    with Pipeline(first, sinks=[kept], config=config) as pipeline:

        def told() -> list[tuple[str, str]]:
            return [(each.label, each.what) for tick in kept.ticks for each in tick.events]

        push(pipeline, "ant", 0.5)
        wait_until(lambda: told() == [("left", "began")])
        pipeline.swap(same)
        push(pipeline, "ant", 0.5)
        turned = [("left", "ended"), ("right", "began")]
        wait_until(lambda: sorted(told()[1:]) == turned)
        pipeline.swap(other)
        push(pipeline, "ant", 0.5)
        wait_until(lambda: told()[3:] == [("right", "ended")])
        time.sleep(0.1)
        assert told()[3:] == [("right", "ended")]


def test_a_swap_that_ends_after_the_pipeline_changes_nothing() -> None:
    first, second = linear_bundle(1), linear_bundle(1, weights={"level": np.ones((1, 2, 1))})
    pipeline = Pipeline(first, config=FAST)
    pipeline.start()
    pipeline.swap(second, lambda _: pipeline.close())
    assert pipeline.status().bundle == first.digest


def test_a_pipeline_that_has_not_predicted_for_ten_seconds_is_not_ready() -> None:
    ahead_ns = 0
    with Pipeline(
        linear_bundle(1), config=FAST, clock=lambda: time.monotonic_ns() + ahead_ns
    ) as pipeline:
        assert not pipeline.status().ready
        push(pipeline, "ant", 0.5)
        next(iter(pipeline))
        assert pipeline.status().ready
        pipeline._engine.close()
        ahead_ns = 11_000 * MS
        assert not pipeline.status().ready


def test_a_window_that_was_taken_and_not_yet_begun_keeps_it_from_being_idle() -> None:
    taken, go_on = threading.Event(), threading.Event()
    pipeline = Pipeline(linear_bundle(1))
    ring = pipeline._engine.rings["ant"]
    real = ring.take

    def take(timeout_s: float = 0.0) -> Any:
        window = real(timeout_s)
        if window is not None:
            taken.set()
            go_on.wait(5)
        return window

    ring.take = take  # type: ignore[method-assign]
    with pipeline:
        wait_until(lambda: pipeline.idle)
        push(pipeline, "ant", 0.5)
        assert taken.wait(5)
        assert not pipeline.idle
        go_on.set()
        wait_until(lambda: pipeline.idle)
        assert pipeline.status().ticks > 0


def test_a_wall_clock_that_jumps_changes_nothing_but_the_time_of_day(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    day_ns = 86_400 * 1000 * MS
    with Pipeline(linear_bundle(1), sinks=[kept], config=FAST) as pipeline:
        for jump_ns in (0, day_ns, -day_ns):
            first = len(kept.ticks)
            real_ns = time.time_ns
            with monkeypatch.context() as patch:
                patch.setattr(time, "time_ns", lambda by=jump_ns, now=real_ns: now() + by)
                push(pipeline, "ant", 0.5)
                wait_until(lambda since=first: len(kept.ticks) > since + 3)
    days = [round((tick.utc_ns - kept.ticks[0].utc_ns) / day_ns) for tick in kept.ticks]
    assert set(days) == {0, 1, -1}
    times_ns = [tick.time_ns for tick in kept.ticks]
    assert times_ns == sorted(times_ns)
    assert times_ns[-1] - times_ns[0] < 60_000 * MS
    assert all(0 <= tick.basis["ant"].age_ns < 2_000 * MS for tick in kept.ticks if tick.basis)
    assert [tick.number for tick in kept.ticks] == list(range(len(kept.ticks)))
