"""What strangers, cables and configurations do to a pipeline: a clear state, and an end in time."""

from __future__ import annotations

import logging
import threading
import time
import tracemalloc
from typing import Any, ClassVar

import numpy as np
import pytest

from mmedge.bundle import Bundle
from mmedge.errors import ConfigError, IncompatibleError, MissingDependencyError, SourceError
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.feeds import Feed
from mmedge.runtime.pipeline.pipeline import Pipeline
from mmedge.runtime.samples import Block, Frame, Sample, SampleKind
from mmedge.runtime.sinks.metrics import exposition, metrics_of
from tests.fakes import linear_bundle
from tests.runtime.pipeline.fakes import MS, FakeSource, fresh_fake, wait_until
from tests.runtime.pipeline.test_pipeline import FAST, Kept, push


def fed(device: type[FakeSource], **options: Any) -> Pipeline:
    feeds = [Feed(make=device, feeds={"sound": "ant"})]
    return Pipeline(linear_bundle(2), feeds=feeds, config=FAST, **options)


class Stereo(FakeSource):
    """Gives two channels, which the model does not take."""

    def read(self) -> Sample | None:
        sample = super().read()
        assert isinstance(sample, Block)
        return Block(sample.time_ns, np.repeat(sample.samples, 2, axis=1), 1000, 1, sample.index)


def test_a_source_that_can_never_work_ends_the_iteration_with_its_error() -> None:
    pipeline = fed(Stereo)
    with pytest.raises(ConfigError, match="takes 1 channel"), pipeline:
        for _ in pipeline:
            pass
    assert isinstance(pipeline.fault, ConfigError)


@pytest.mark.parametrize("error", [MissingDependencyError, IncompatibleError, ConfigError])
def test_a_package_that_is_missing_is_told_and_not_waited_for(error: type[Exception]) -> None:
    class Lacking(FakeSource):
        def open(self) -> str:
            raise error("pip install it")

    with pytest.raises(error, match="pip install it"), fed(Lacking) as pipeline:
        next(iter(pipeline))


def test_a_device_that_is_not_there_is_waited_for_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    device = fresh_fake()
    device.mood = "gone"
    kept = Kept()
    with fed(device, sinks=[kept]) as pipeline:
        wait_until(lambda: pipeline.status().sources[0].state == "waiting")
        time.sleep(1.2)  # some more lives
        status = pipeline.status()
        assert pipeline.fault is None
        assert status.modalities["ant"].reason == "fake is waiting: it is not there"
        assert status.modalities["bee"].reason == "no source was given"
        told = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
        assert told == ["fake: it is not there (tried again until it is there)"]
        device.mood = "gives"
        wait_until(lambda: bool(kept.ticks) and kept.ticks[-1].prediction.presence["ant"])


def test_why_a_modality_is_absent_is_told_as_it_changes() -> None:
    device = fresh_fake()
    bundle = linear_bundle(1)
    strict = bundle.manifest.modalities["ant"]
    quality = strict.quality.model_copy(update={"policy": "absent"})  # type: ignore[union-attr]
    modalities = {"ant": strict.model_copy(update={"quality": quality})}
    manifest = bundle.manifest.model_copy(update={"modalities": modalities})
    spoiled = Bundle.in_memory(manifest, dict(bundle.files))
    config = LiveConfig(heartbeat_ms=50, max_age_ms={"ant": 200})
    feeds = [Feed(make=device, feeds={"sound": "ant"})]
    with Pipeline(spoiled, feeds=feeds, config=config) as pipeline:

        def reason() -> str:
            return pipeline.status().modalities["ant"].reason

        wait_until(lambda: reason() == "spoiled: silent")
        metrics = exposition(metrics_of(pipeline.status()))
        assert 'mmedge_modality_present{modality="ant"} 0.0' in metrics
        assert 'complaint="silent"' in metrics
        device.mood = "gone"  # what it was spoiled by does not matter any more
        wait_until(lambda: reason().startswith("fake is waiting: it "))


def test_an_app_that_stops_pushing_is_stale_and_not_without_a_source() -> None:
    config = LiveConfig(heartbeat_ms=50, max_age_ms={"ant": 100})
    with Pipeline(linear_bundle(2), config=config) as pipeline:
        push(pipeline, "ant", 0.5)
        wait_until(lambda: pipeline.status().modalities["ant"].present)
        wait_until(lambda: pipeline.status().modalities["ant"].reason == "stale")
        assert pipeline.status().modalities["bee"].reason == "no source was given"


class Film(FakeSource):
    """Pictures whose times and sizes come from a list."""

    kinds: ClassVar[tuple[SampleKind, ...]] = ("image",)
    shapes: ClassVar[list[tuple[int, int]]] = [(48, 64)]
    steps_ms: ClassVar[list[int]] = [10]

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._time_ns = time.monotonic_ns()

    def read(self) -> Sample | None:
        time.sleep(0.01)
        self._count += 1
        self._time_ns += self.steps_ms[self._count % len(self.steps_ms)] * MS
        shape = self.shapes[self._count % len(self.shapes)]
        pixels = np.random.default_rng(self._count).integers(0, 255, (*shape, 3), dtype=np.uint8)
        return Frame(self._time_ns, pixels)


def filmed(bundle: Bundle, **changes: Any) -> tuple[Pipeline, Kept]:
    film = type("Film", (Film,), changes)
    kept = Kept()
    feeds = [Feed(make=film, feeds={"image": "camera"})]
    return Pipeline(bundle, feeds=feeds, sinks=[kept], config=FAST), kept


def test_a_stream_whose_size_changes_goes_on(demo: Bundle) -> None:
    pipeline, kept = filmed(demo, shapes=[(48, 64), (65, 33), (480, 640)])
    with pipeline:
        wait_until(lambda: sum(tick.fresh for tick in kept.ticks) > 6)
        status = pipeline.status()
    assert status.sources[0].opened == 1
    assert status.modalities["camera"].degraded == ""


def test_times_that_run_backwards_are_dropped_counted_and_never_believed(demo: Bundle) -> None:
    pipeline, kept = filmed(demo, steps_ms=[30, -20, 20, 10])
    with pipeline:
        wait_until(lambda: sum(tick.fresh for tick in kept.ticks) > 6)
        assert pipeline.status().modalities["camera"].skipped > 2
    ends = [tick.basis["camera"].end_ns for tick in kept.ticks if "camera" in tick.basis]
    assert ends == sorted(ends)


def test_pictures_of_an_hour_ago_are_stale_and_not_taken_for_new(demo: Bundle) -> None:
    pipeline, kept = filmed(demo, steps_ms=[10] * 40 + [-3_600_000] + [10] * 10_000)
    with pipeline:
        wait_until(lambda: bool(kept.ticks) and kept.ticks[-1].prediction.presence["camera"])
        wait_until(lambda: kept.ticks[-1].absent.get("camera") == "stale")


def test_a_camera_that_stalls_at_its_opening_holds_nothing_up() -> None:
    release = threading.Event()

    class Stalls(FakeSource):
        def open(self) -> str:
            release.wait(20)
            raise SourceError("it woke up")

    kept = Kept()
    with fed(Stalls, sinks=[kept]) as pipeline:
        push(pipeline, "bee", 0.5)
        wait_until(lambda: bool(kept.ticks))
        assert kept.ticks[0].prediction.presence == {"ant": False, "bee": True}
        wait_until(lambda: pipeline.status().modalities["ant"].reason == "fake is opening")
        begin_s = time.monotonic()
        pipeline.close()
        assert time.monotonic() - begin_s < 5
    release.set()


def test_however_many_hang_the_end_takes_less_than_five_seconds() -> None:
    devices = [fresh_fake() for _ in range(6)]
    names = ["ant", "bee", "cat", "dog", "elk", "fox"]
    release = threading.Event()

    class Stuck(Kept):
        def emit(self, tick: Any) -> None:
            release.wait(30)

    feeds = [
        Feed(make=device, feeds={"sound": name})
        for device, name in zip(devices, names, strict=True)
    ]
    pipeline = Pipeline(
        linear_bundle(6), feeds=feeds, sinks=[Stuck() for _ in range(4)], config=FAST
    )
    pipeline.start()
    wait_until(lambda: pipeline.status().ticks > 3)
    for device in devices:
        device.mood = "hangs"
    time.sleep(0.1)
    begin_s = time.monotonic()
    pipeline.close()
    assert time.monotonic() - begin_s < 5
    release.set()
    for device in devices:
        device.release.set()


def test_what_fails_in_a_with_leaves_no_thread_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ConfigError("it cannot be warmed up")

    before = threading.active_count()
    pipeline = fed(fresh_fake())
    monkeypatch.setattr(pipeline._engine.predictor, "warm_up", fail)
    with pytest.raises(ConfigError, match="warmed up"), pipeline:
        pass
    wait_until(lambda: threading.active_count() <= before)


def test_nothing_grows_with_what_comes() -> None:
    config = LiveConfig(heartbeat_ms=5, explain=False)
    with Pipeline(linear_bundle(2), sinks=[Forgetful()], config=config) as pipeline:

        def busy(seconds: float) -> None:
            end_s = time.monotonic() + seconds
            while time.monotonic() < end_s:
                push(pipeline, "ant", 0.5)
                push(pipeline, "bee", 0.25)

        busy(1.5)  # what is bounded has filled up
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            ticks = pipeline.status().ticks
            busy(3)
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert pipeline.status().ticks - ticks > 50
    assert after - before < 400_000


class Forgetful(Kept):
    def emit(self, tick: Any) -> None:
        pass

    def show(self, status: Any) -> None:
        pass
