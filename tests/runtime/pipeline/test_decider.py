from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.pipeline import Pipeline
from mmedge.runtime.pipeline.worker import pause_s
from tests.fakes import linear_bundle
from tests.runtime.pipeline.fakes import wait_until
from tests.runtime.pipeline.test_pipeline import FAST, Kept, push

QUIET = LiveConfig(heartbeat_ms=10_000, explain=False)


def test_a_slow_head_holds_up_no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    with Pipeline(linear_bundle(2), config=FAST) as pipeline:
        predictor = pipeline._engine.predictor
        real = predictor.decide

        def decide(*arguments: Any, **more: Any) -> Any:
            time.sleep(0.06)
            return real(*arguments, **more)

        monkeypatch.setattr(predictor, "decide", decide)
        for _ in range(60):
            push(pipeline, "ant", 0.1)
            push(pipeline, "bee", 0.1)
            time.sleep(0.02)
        modalities = pipeline.status().modalities
        assert min(each.encodings for each in modalities.values()) > 30
        assert pipeline.status().ticks < 30


def test_a_quick_head_is_asked_by_the_encoder_in_passing_and_a_slow_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Pipeline(linear_bundle(1), config=QUIET) as pipeline:
        predictor = pipeline._engine.predictor
        real, names = predictor.decide, []
        took_s = 0.0

        def decide(*arguments: Any, **more: Any) -> Any:
            names.append(threading.current_thread().name)
            time.sleep(took_s)
            return real(*arguments, **more)

        def ask(times: int) -> list[str]:
            names.clear()
            for count in range(1, times + 1):
                push(pipeline, "ant", 0.1)
                wait_until(lambda: len(names) >= count and pipeline.idle)  # noqa: B023
            return list(names)

        monkeypatch.setattr(predictor, "decide", decide)
        assert ask(1) == ["fuse"]  # nobody knows yet
        assert "encode-ant" in ask(20)
        took_s = 0.02
        assert set(ask(6)[1:]) == {"fuse"}
        took_s = 0.0
        assert "encode-ant" in ask(20)


def test_a_quick_head_that_hangs_keeps_no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    hung, release = threading.Event(), threading.Event()
    slow = LiveConfig(heartbeat_ms=10_000, hang_ms=10_000, explain=False)
    with Pipeline(linear_bundle(1), config=slow) as pipeline:
        predictor = pipeline._engine.predictor
        real, names = predictor.decide, []

        def decide(*arguments: Any, **more: Any) -> Any:
            names.append(threading.current_thread().name)
            if len(names) > 3 and names[-1] == "encode-ant":
                hung.set()
                release.wait(20)
            return real(*arguments, **more)

        def encodings() -> int:
            push(pipeline, "ant", 0.1)
            return pipeline.status().modalities["ant"].encodings

        monkeypatch.setattr(predictor, "decide", decide)
        wait_until(lambda: bool(encodings()) and hung.is_set())
        before = encodings()
        wait_until(lambda: encodings() > before + 5, timeout_s=1.0)
        assert pipeline.status().modalities["ant"].degraded == ""  # the encoder is sound
        release.set()
        ticks = pipeline.status().ticks
        wait_until(lambda: bool(encodings()) and pipeline.status().ticks > ticks + 3)


def test_a_head_that_hangs_is_left_and_numbers_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    hung, release = threading.Event(), threading.Event()
    with Pipeline(linear_bundle(1), sinks=[kept], config=FAST) as pipeline:
        predictor = pipeline._engine.predictor
        real = predictor.decide

        def decide(*arguments: Any, **more: Any) -> Any:
            if not hung.is_set():
                hung.set()
                release.wait(20)
            return real(*arguments, **more)

        push(pipeline, "ant", 0.5)
        wait_until(lambda: len(kept.ticks) > 2)
        monkeypatch.setattr(predictor, "decide", decide)
        assert hung.wait(2)
        before = len(kept.ticks)
        looked = pipeline.monitor.progress
        wait_until(lambda: len(kept.ticks) > before + 2)
        assert pipeline.monitor.progress > looked  # the watch over everything went on
        release.set()  # what hung wakes, and its prediction is nobody's any more
        wait_until(lambda: len(kept.ticks) > before + 5)
    assert [tick.number for tick in kept.ticks] == list(range(len(kept.ticks)))
    assert [tick.time_ns for tick in kept.ticks] == sorted(tick.time_ns for tick in kept.ticks)


def test_a_head_that_raises_is_degraded_and_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, reopened = Kept(), []
    with Pipeline(linear_bundle(1), sinks=[kept], config=FAST) as pipeline:
        predictor = pipeline._engine.predictor
        real, broken = predictor.decide, True

        def decide(*arguments: Any, **more: Any) -> Any:
            if broken:
                raise RuntimeError("no kernel")
            return real(*arguments, **more)

        monkeypatch.setattr(predictor, "decide", decide)
        monkeypatch.setattr(predictor, "reopen", reopened.append)
        push(pipeline, "ant", 0.5)
        wait_until(lambda: reopened == ["fusion"])
        assert pipeline.status().degraded == "the fusion head fails: no kernel"
        broken = False
        wait_until(lambda: bool(kept.ticks))
        assert pipeline.status().degraded == ""


def test_prompts_wait_for_no_head_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    with Pipeline(linear_bundle(1), config=LiveConfig(hang_ms=200)) as pipeline:
        predictor = pipeline._engine.predictor
        asked: list[str] = []
        hung = threading.Event()

        def decide(*arguments: Any, **more: Any) -> Any:
            hung.set()
            release.wait(20)

        monkeypatch.setattr(predictor, "decide", decide)
        monkeypatch.setattr(predictor, "set_prompts", lambda texts, template: asked.extend(texts))
        push(pipeline, "ant", 0.5)
        assert hung.wait(2)
        # The head that takes over hangs as well; between the two there is a moment.
        setting = threading.Thread(target=pipeline.set_prompts, args=(["a", "b"],), daemon=True)
        setting.start()
        time.sleep(0.5)
        release.set()
        setting.join(5)
        assert asked == ["a", "b"]


def test_the_pause_before_opening_anew_grows_to_five_seconds_and_no_further() -> None:
    assert [pause_s(failures) for failures in (0, 1, 2, 3, 4, 6)] == [0, 0, 0, 0.2, 0, 0.4]
    assert pause_s(3 * 10_000) == 5.0
