"""What ends a service, and what loads its bundle again."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.bundle import Bundle
from mmedge.errors import ProofError
from mmedge.runtime.pipeline.binding import Inputs
from mmedge.runtime.pipeline.feeds import Feed
from mmedge.runtime.pipeline.outputs import Outputs
from mmedge.runtime.pipeline.pipeline import Pipeline
from mmedge.runtime.pipeline.running import run_service
from mmedge.runtime.pipeline.service import ServeConfig, serve
from mmedge.runtime.pipeline.systemd import Systemd
from mmedge.runtime.samples import Block, Sample
from mmedge.runtime.sources import Ended
from tests.conftest import DEMO
from tests.fakes import linear_bundle
from tests.runtime.pipeline.fakes import FakeSource

CLIP = str(DEMO.parent / "clip.mkv")


def later(act: Callable[[], None]) -> None:
    threading.Timer(0.3, act).start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_and_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    bundle = linear_bundle(1)
    with Pipeline(bundle) as pipeline:
        later(lambda: os.kill(os.getpid(), number))
        begin_s = time.monotonic()
        assert run_service(pipeline, load=lambda: bundle) == number.name
        assert time.monotonic() - begin_s < 5
    assert signal.getsignal(number) is before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP on Windows")
@pytest.mark.parametrize("trusted", [True, False])
def test_sighup_loads_the_bundle_again_if_it_can_be_trusted(
    trusted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def check(bundle: Bundle) -> None:
        if not trusted:
            raise ProofError("it fails its own proof")

    loads = []

    def load() -> Bundle:
        loads.append(1)
        return linear_bundle(1)

    with Pipeline(linear_bundle(1)) as pipeline:
        later(lambda: os.kill(os.getpid(), signal.SIGHUP))
        assert run_service(pipeline, load=load, check=check, for_s=1) == "1 s are over"
    assert loads == [1]
    told = caplog.text
    assert ("now predicting with linear" in told) is trusted
    assert ("the old one goes on: it fails its own proof" in told) is not trusted


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP on Windows")
def test_whatever_goes_wrong_with_a_new_bundle_the_old_one_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def load() -> Bundle:
        raise RuntimeError("dictionary changed size during iteration")

    with Pipeline(linear_bundle(1)) as pipeline:
        later(lambda: os.kill(os.getpid(), signal.SIGHUP))
        assert run_service(pipeline, load=load, for_s=1) == "1 s are over"
    assert "the old one goes on: dictionary changed size" in caplog.text


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP on Windows")
def test_the_end_and_the_watchdog_do_not_wait_for_a_bundle_that_is_verified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verifying, release, beats = threading.Event(), threading.Event(), []

    def check(bundle: Bundle) -> None:
        verifying.set()
        release.wait(20)

    def beat(self: Systemd, progress: int, now_ns: int) -> None:
        if verifying.is_set():
            beats.append(progress)
        if len(set(beats)) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Systemd, "beat", beat)
    bundle = linear_bundle(1)
    with Pipeline(bundle) as pipeline:
        later(lambda: os.kill(os.getpid(), signal.SIGHUP))
        begun_s = time.monotonic()
        assert run_service(pipeline, load=lambda: bundle, check=check) == "SIGTERM"
        assert time.monotonic() - begun_s < 5
    release.set()


def test_the_last_that_a_source_gives_is_predicted_from(tmp_path: Path) -> None:
    class Once(FakeSource):
        kinds = ("sound",)

        def read(self) -> Sample | None:
            if self._index:
                raise Ended
            self._index = 6
            release.wait(5)
            # Six samples hold a whole window of two, wherever the grid of its hop lies.
            return Block(time.monotonic_ns() - 6_000_000, np.zeros((6, 1), np.int16), 1000, 1, 0)

    release, began = threading.Event(), []
    bundle = linear_bundle(1)
    pipeline = Pipeline(bundle, feeds=[Feed(make=Once, feeds={"sound": "ant"})])
    pipeline.start()
    real = pipeline._engine.predictor.encode

    def slowly(*given: Any, **more: Any) -> Any:
        began.append(1)
        time.sleep(0.4)  # much longer than it takes to see that the source has ended
        return real(*given, **more)

    pipeline._engine.predictor.encode = slowly  # type: ignore[method-assign]
    release.set()
    assert run_service(pipeline, load=lambda: bundle) == "every source has come to its end"
    assert began == [1]
    assert [tick.prediction.presence for tick in pipeline][:1] == [{"ant": True}]


def test_downmixing_stays_over_a_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = Pipeline.swap

    def swap(self: Pipeline, bundle: Bundle, *rest: Any) -> None:
        seen.append(bundle.manifest.modalities["mic"])
        real(self, bundle, *rest)

    monkeypatch.setattr(Pipeline, "swap", swap)
    config = ServeConfig(
        inputs=Inputs(files=(CLIP,)), downmix="first", for_s=1.2, outputs=Outputs(as_json=True)
    )
    later(lambda: os.kill(os.getpid(), signal.SIGHUP))
    serve(DEMO, config, lambda _: None)
    assert [each.downmix for each in seen] == ["first"]  # type: ignore[union-attr]
