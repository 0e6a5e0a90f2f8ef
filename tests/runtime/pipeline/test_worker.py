from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mmedge.runtime.pipeline.encoding import Encoding, EncodingStage
from mmedge.runtime.pipeline.worker import Worker
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.rings import Ring, make_ring
from mmedge.runtime.samples import Line
from tests.conftest import DEMO
from tests.runtime.pipeline.fakes import wait_until


class FakeStage:
    """Gives an encoding per text, or does what a test tells it to."""

    name = "hint"

    def __init__(self, act: Callable[[], None] = lambda: None) -> None:
        self.next = 0
        self._act = act

    def __call__(self, window: Any) -> Encoding:
        self._act()
        number, self.next = self.next, self.next + 1
        return Encoding(
            modality="hint",
            number=number,
            begin_ns=window.begin_ns,
            end_ns=window.end_ns,
            place=window.place,
            arrays={},
            skipped=window.skipped,
            reset=window.reset,
            latency_ns={"encode": 2_000_000},
        )


@contextmanager
def working(
    ring: Ring, stage: Any, *, period_ns: int = 0, reopen: Callable[[], None] = lambda: None
) -> Iterator[tuple[Worker, list[Encoding]]]:
    made: list[Encoding] = []
    worker = Worker(
        stage,
        ring,
        made.append,
        reopen,
        hang_ms=50,
        period_ns=period_ns,
        clock=time.monotonic_ns,
    )
    worker.start()
    try:
        yield worker, made
    finally:
        worker.stop()
        worker.join(2)


@pytest.fixture
def ring() -> Ring:
    from mmedge.bundle import open_bundle

    return make_ring("hint", open_bundle(DEMO).manifest.modalities["hint"])


def say(ring: Ring, text: str = "even") -> None:
    ring.push(Line(time.monotonic_ns(), text))


def test_it_encodes_what_is_new_and_only_that(ring: Ring) -> None:
    with working(ring, FakeStage()) as (worker, made):
        say(ring)
        wait_until(lambda: len(made) == 1)
        time.sleep(0.3)
        assert [each.number for each in made] == [0]
        assert made[0].reset == "start"
        say(ring)
        wait_until(lambda: len(made) == 2)
        status = worker.status("", 5_000_000)
    assert (status.present, status.age_ms, status.encodings, status.encode_ms) == (True, 5, 2, 2.0)


def test_no_more_often_than_it_may(ring: Ring) -> None:
    with working(ring, FakeStage(), period_ns=100_000_000) as (worker, made):
        end_s = time.monotonic() + 0.55
        while time.monotonic() < end_s:
            say(ring)
            time.sleep(0.01)
        assert 2 <= len(made) <= 7
        assert worker.status("", None).skipped > 20


def test_what_fails_is_told_skipped_and_opened_again_and_heals(
    ring: Ring, caplog: pytest.LogCaptureFixture
) -> None:
    broken, reopened = [True], []

    def act() -> None:
        if broken[0]:
            raise RuntimeError("no kernel")

    with working(ring, FakeStage(act), reopen=lambda: reopened.append(1)) as (worker, made):

        def fails() -> bool:
            say(ring)
            return bool(reopened)

        wait_until(fails)
        assert worker.status("stale", None).degraded == "its encoder fails: no kernel"
        assert made == []
        broken[0] = False
        say(ring)
        wait_until(lambda: len(made) >= 1)
        assert made[0].reset == "its encoder failed"
        wait_until(lambda: worker.status("", 0).degraded == "")
    assert len([r for r in caplog.records if "no kernel" in r.message]) == 1  # and not each time


def test_what_cannot_be_opened_again_is_told_and_tried_for_ever(ring: Ring) -> None:
    tried = []

    def fail() -> None:
        raise RuntimeError("no kernel")

    def reopen() -> None:
        tried.append(1)
        raise RuntimeError("no device")

    with working(ring, FakeStage(fail), reopen=reopen) as (worker, _):

        def again() -> bool:
            say(ring)
            return len(tried) >= 2

        wait_until(again)
        assert worker.alive
        told = {worker.status("", None).degraded for _ in range(3)}
        assert told <= {
            "its encoder cannot be opened again: no device",
            "its encoder fails: no kernel",
        }


def test_one_that_hangs_is_seen_and_what_it_makes_afterwards_is_thrown_away(ring: Ring) -> None:
    release = threading.Event()
    with working(ring, FakeStage(lambda: bool(release.wait(20)) and None)) as (worker, made):
        say(ring)
        wait_until(lambda: worker.hangs(time.monotonic_ns()))
        worker.stop()
        assert not worker.hangs(time.monotonic_ns())  # it is nobody's worry any more
        release.set()
        worker.join(2)
        assert made == []
        assert not worker.alive


def test_late_samples_count_as_skipped(ring: Ring) -> None:
    with working(ring, FakeStage()) as (worker, made):
        now_ns = time.monotonic_ns()
        ring.push(Line(now_ns, "a"))
        ring.push(Line(now_ns - 5, "b"))
        wait_until(lambda: len(made) == 1)
        assert worker.status("", None).skipped == 1


def test_the_real_stage_counts_on_where_another_ended() -> None:
    from mmedge.bundle import open_bundle

    with Predictor(open_bundle(DEMO)) as predictor:
        assert EncodingStage("hint", predictor, 7).next == 7
