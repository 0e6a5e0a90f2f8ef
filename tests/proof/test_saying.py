from __future__ import annotations

import pytest

from mmedge.proof.saying import Teller, seldom


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set by hand."""
    clock = [100.0]
    monkeypatch.setattr("mmedge.proof.saying.time.monotonic", lambda: clock[0])
    return clock


def test_a_stage_is_told_at_once_and_its_steps_two_seconds_later(now: list[float]) -> None:
    told: list[str] = []
    tell = Teller(told.append)
    now[0] = 200.0  # long after it was made
    tell("stage")
    step = seldom(tell)
    for second in (200.5, 201.9, 202.0, 202.1, 204.0):
        now[0] = second
        step(f"step at {second}")
    assert told == ["stage", "step at 202.0", "step at 204.0"]


def test_steps_of_what_tells_no_stages_are_told_every_two_seconds(now: list[float]) -> None:
    told: list[str] = []
    step = seldom(told.append)
    for second in (101.0, 102.0, 103.0):
        now[0] = second
        step(str(second))
    assert told == ["102.0"]
