from __future__ import annotations

import numpy as np

from mmedge.runtime.sources.stream_clock import StreamClock

MS = 1_000_000
S = 1_000 * MS


def test_the_shortest_way_counts_and_jitter_does_not() -> None:
    clock, random = StreamClock(), np.random.default_rng(3)
    errors = []
    for index in range(1_000):
        stream_ns = 5 * S + index * 33 * MS
        captured_ns = 900 * S + index * 33 * MS
        way_ns = 60 * MS + int(random.exponential(20)) * MS
        assert clock.note(stream_ns, captured_ns + way_ns)
        errors.append(clock.pipeline_ns(stream_ns) - captured_ns)
    assert clock.anchors == 1
    assert max(errors[50:]) <= 62 * MS
    assert min(errors) >= 60 * MS


def test_nothing_is_captured_after_it_came() -> None:
    clock, random = StreamClock(), np.random.default_rng(4)
    for index in range(500):
        arrival_ns = index * 20 * MS + int(random.exponential(9)) * MS
        clock.note(index * 20 * MS, arrival_ns)
        assert clock.pipeline_ns(index * 20 * MS) <= arrival_ns


def test_a_clock_that_runs_differently_is_followed() -> None:
    for ppm in (-200, 200):
        clock = StreamClock()
        for index in range(30 * 3600):  # an hour at 30 Hz; 200 ppm are 720 ms by then
            true_ns = index * S // 30
            assert clock.note(true_ns + true_ns * ppm // 1_000_000, true_ns + 50 * MS)
            error_ns = clock.pipeline_ns(true_ns + true_ns * ppm // 1_000_000) - true_ns - 50 * MS
            assert abs(error_ns) <= 5 * MS  # 20 s of 200 ppm are 4 ms
        assert clock.anchors == 1


def test_what_comes_late_after_a_stall_keeps_its_time_and_is_not_fresh() -> None:
    clock = StreamClock()
    for index in range(30):
        assert clock.note(index * 33 * MS, S + index * 33 * MS)
    # Three seconds of nothing; then everything at once.
    fresh = [clock.note(index * 33 * MS, S + 30 * 33 * MS + 3 * S) for index in range(30, 120)]
    assert fresh == 61 * [False] + 29 * [True]
    assert clock.pipeline_ns(60 * 33 * MS) == S + 60 * 33 * MS
    assert clock.anchors == 1


def test_a_step_of_the_stamps_anchors_anew() -> None:
    for step_ns in (-90 * S, 90 * S, -2 * S, 2 * S):
        clock = StreamClock()
        for index in range(60):
            stamp_ns = 100 * S + index * 33 * MS + (step_ns if index >= 30 else 0)
            assert clock.note(stamp_ns, index * 33 * MS)
            assert clock.pipeline_ns(stamp_ns) == index * 33 * MS
        assert clock.anchors == 2
