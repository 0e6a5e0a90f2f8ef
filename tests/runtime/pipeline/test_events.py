from __future__ import annotations

import pytest

from mmedge.errors import ConfigError
from mmedge.runtime.pipeline.config import EventConfig
from mmedge.runtime.pipeline.events import EventTracker
from mmedge.runtime.prediction import Prediction, TaskPrediction
from mmedge.specs import Classification, Matching, Regression

MS = 1_000_000
TASK = {"side": Classification(labels=("left", "none"), threshold=0.6, background=("none",))}
SHARP = EventConfig(smooth_ms=0, begin=0.7, end=0.4, debounce_ms=100, hold_ms=300)


def said(left: float, task: str = "side") -> Prediction:
    scores = {"left": left, "none": 1 - left}
    return Prediction(
        tasks={task: TaskPrediction(scores=scores, contributions={})}, presence={"mic": True}
    )


def follow(config: EventConfig, scores: list[tuple[int, float]]) -> list[tuple[int, str]]:
    tracker = EventTracker(TASK, config)
    return [
        (time_ms, event.what)
        for time_ms, score in scores
        for event in tracker.update(said(score), time_ms * MS).events
    ]


def test_an_event_begins_after_the_debounce_and_ends_after_the_hold() -> None:
    scores = [(t, 0.9 if t < 300 else 0.1) for t in range(0, 1000, 50)]
    # Above from 0 on, so it begins at 100; below from 300 on, but held until 400.
    assert follow(SHARP, scores) == [(100, "began"), (400, "ended")]


def test_a_flicker_shorter_than_the_debounce_is_nothing() -> None:
    scores = [(t, 0.9 if t % 200 == 0 else 0.1) for t in range(0, 2000, 50)]
    assert follow(SHARP, scores) == []


def test_between_the_thresholds_nothing_changes() -> None:
    scores = [(0, 0.9), (100, 0.9), (200, 0.5), (900, 0.69), (1000, 0.41)]
    assert follow(SHARP, scores) == [(100, "began")]


def test_smoothing_takes_the_time_that_has_passed_and_not_the_number_of_predictions() -> None:
    config = EventConfig(smooth_ms=200, debounce_ms=0, hold_ms=0)
    once = EventTracker(TASK, config)
    once.update(said(1.0), 0)
    often = EventTracker(TASK, config)
    for time_ms in range(0, 101, 10):
        last = often.update(said(1.0), time_ms * MS)
    assert last.scores["side"]["left"] == pytest.approx(1 - 2.718281828 ** (-0.5))
    assert once.update(said(1.0), 100 * MS).scores["side"]["left"] == pytest.approx(
        last.scores["side"]["left"]
    )


@pytest.mark.parametrize(("period_ms", "began_ms"), [(10, 570), (30, 570), (90, 630), (250, 750)])
def test_an_event_begins_with_the_first_prediction_after_its_moment(
    period_ms: int, began_ms: int
) -> None:
    # From 0 to 1 with a time constant of 300 ms, 0.7 is crossed after 361 ms; 200 ms more.
    config = EventConfig(smooth_ms=300, begin=0.7, debounce_ms=200)
    scores = [(t, 1.0) for t in range(0, 1000, period_ms)]
    assert follow(config, scores) == [(began_ms, "began")]


def test_one_prediction_alone_begins_and_ends_nothing() -> None:
    config = EventConfig(smooth_ms=300, begin=0.7, debounce_ms=200)
    assert follow(config, [(0, 1.0), (2000, 1.0), (2050, 0.0)]) == []
    assert follow(config, [(0, 1.0), (2000, 1.0), (2100, 1.0)]) == [(2100, "began")]


def test_labels_of_the_background_begin_nothing() -> None:
    assert follow(SHARP, [(t, 0.0) for t in range(0, 1000, 50)]) == []


def test_what_is_no_longer_seen_ends() -> None:
    tracker = EventTracker(TASK, SHARP)
    tracker.update(said(0.9), 0)
    assert tracker.update(said(0.9), 100 * MS).active == {"side": ("left",)}
    nothing = Prediction(tasks={}, presence={"mic": False})
    tracker.update(nothing, 500 * MS)
    assert [event.what for event in tracker.update(nothing, 600 * MS).events] == ["ended"]


def test_below_the_tasks_threshold_no_label_is_named() -> None:
    tracker = EventTracker(TASK, SHARP)
    assert tracker.update(said(0.55), 0).labels == {"side": None}
    assert tracker.update(said(0.65), 1).labels == {"side": "left"}
    bold = EventTracker(TASK, EventConfig(smooth_ms=0, abstain=0.5))
    assert bold.update(said(0.55), 0).labels == {"side": "left"}


def test_prompts_that_are_changed_end_what_is_no_longer_asked_for() -> None:
    tracker = EventTracker({"match": Matching(between=("camera", "text"))}, SHARP)
    for time_ms in (0, 100):
        tracker.update(said(0.9, "match"), time_ms * MS)
    other = TaskPrediction(scores={"dog": 1.0}, contributions={})
    swapped = Prediction(tasks={"match": other}, presence={"camera": True})
    events = tracker.update(swapped, 200 * MS).events
    assert [(event.label, event.what) for event in events] == [("left", "ended")]


def test_a_regression_is_smoothed_from_its_first_value_and_has_no_events() -> None:
    tracker = EventTracker({"level": Regression(names=("level",), units=("m",))}, EventConfig())
    answer = TaskPrediction(scores={"level": 5.0}, contributions={})
    smoothed = tracker.update(Prediction(tasks={"level": answer}, presence={"mic": True}), 0)
    assert smoothed.scores == {"level": {"level": 5.0}}
    assert smoothed.events == ()


def test_thresholds_that_would_end_an_event_as_it_begins_are_refused() -> None:
    with pytest.raises(ConfigError, match="would end as it begins"):
        EventConfig(begin=0.4, end=0.6)
    with pytest.raises(ConfigError, match="hold_ms=-1"):
        EventConfig(hold_ms=-1)
