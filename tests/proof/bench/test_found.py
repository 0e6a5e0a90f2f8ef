"""Times put together: percentiles, ratios round by round, how steady the machine was."""

from __future__ import annotations

import numpy as np
import pytest

from mmedge.proof.bench.found import Row, Turn, make_row


def turn(*whole_ms: float, watts: float | None = None) -> Turn:
    whole = np.array(whole_ms, np.float64)
    return Turn(stages={"fusion": whole / 4, "whole": whole}, watts=watts)


def row(turns: list[Turn], reference: list[Turn] | None = None) -> Row:
    return make_row(turns, reference or turns, backend="cpu", plan="fp32", threads={"fusion": 1})


def test_percentiles_are_of_all_predictions() -> None:
    found = row([turn(*range(1, 51)), turn(*range(51, 102))])
    assert found.runs == 101
    assert found.p50_ms == {"fusion": 12.75, "whole": 51.0}
    assert found.p95_ms["whole"] == 96.0
    assert found.p99_ms["whole"] == 100.0


def test_a_slow_round_slows_both_and_leaves_the_ratio() -> None:
    reference = [turn(10, 10), turn(40, 40), turn(10, 10)]
    found = row([turn(5, 5), turn(20, 20), turn(5, 5)], reference)
    assert found.ratio == 0.5
    assert row(reference).ratio == 1.0


def test_throughput_is_of_predictions_back_to_back() -> None:
    assert row([turn(10, 10), turn(10, 30)]).per_s == pytest.approx(1000 / 15)


def test_how_far_the_median_moved_tells_a_busy_machine() -> None:
    assert row([turn(10), turn(10), turn(11), turn(11)]).moved == pytest.approx(1 / 10.5)
    assert row([turn(10), turn(10), turn(10), turn(10)]).moved == 0


def test_power_is_the_mean_of_the_turns_that_tell() -> None:
    assert row([turn(1, watts=4), turn(1, watts=8), turn(1)]).watts == 6
    assert row([turn(1), turn(1)]).watts is None


def test_what_is_kept_is_the_median_and_the_ratio() -> None:
    found = row([turn(2), turn(2)], [turn(4), turn(4)])
    kept = found.timing
    assert (kept.backend, kept.plan, kept.p50_ms, kept.ratio) == ("cpu", "fp32", 2.0, 0.5)
    assert found.to_json()["stages"]["whole"] == {"p50_ms": 2.0, "p95_ms": 2.0, "p99_ms": 2.0}
