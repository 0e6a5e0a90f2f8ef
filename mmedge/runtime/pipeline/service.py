"""A pipeline as a service: signals, watchdog, and an orderly end."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from mmedge.bundle import Bundle, open_bundle
from mmedge.errors import ConfigError, MmedgeError
from mmedge.runtime.offline import downmixed
from mmedge.runtime.pipeline.binding import Inputs, bind
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.outputs import Outputs, make_sinks
from mmedge.runtime.pipeline.pipeline import Pipeline
from mmedge.runtime.pipeline.recorder import RecordConfig, Recorder
from mmedge.runtime.pipeline.replay import as_run, ideal
from mmedge.runtime.pipeline.systemd import Systemd
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.recording import Header, open_recording, parse_header
from mmedge.runtime.samples import Frame

__all__ = ["ServeConfig", "find_bundle", "record", "run_service", "serve"]

_log = logging.getLogger(__name__)

_POLL_S = 0.1


def find_bundle(named: Path | None, folder: Path, demo: Path) -> tuple[Path, str]:
    """Find the bundle that is meant where none is named.

    Args:
        named: what the user named.
        folder: where to look for a single ``*.mmedge``.
        demo: the bundle that ships with mmedge.

    Returns:
        Its folder, and why it was taken, for people; empty if it was named.

    Raises:
        ConfigError: several are there.
    """
    if named is not None:
        return named, ""
    if os.environ.get("MMEDGE_BUNDLE"):
        return Path(os.environ["MMEDGE_BUNDLE"]), "named by MMEDGE_BUNDLE"
    here = sorted(path for path in folder.glob("*.mmedge") if path.is_dir())
    if len(here) > 1:
        names = ", ".join(path.name for path in here)
        raise ConfigError(f"several bundles are here ({names}); name one of them")
    if here:
        return here[0], "the only bundle here"
    return demo, "the demo's, since no bundle is named and none is here"


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Everything that `serve` is told.

    Attributes:
        inputs: the sources.
        text: a text that holds from the start, for the only text modality.
        recording: replay this instead of live sources.
        replay: ``as-run`` or ``ideal``.
        outputs: where predictions go.
        live: how the pipeline behaves.
        prompts: texts to choose from; empty for the model's own labels.
        template: the sentence around each prompt.
        downmix: how stereo becomes mono, where the model does not say.
        backend: what runs the graphs.
        plan: which of the bundle's plans.
        for_s: end after so long; ``None`` goes on for ever.
    """

    inputs: Inputs
    text: str | None = None
    recording: Path | None = None
    replay: str = "ideal"
    outputs: Outputs = field(default_factory=Outputs)
    live: LiveConfig = field(default_factory=LiveConfig)
    prompts: tuple[str, ...] = ()
    template: str = "{}"
    downmix: str | None = None
    backend: str = "cpu"
    plan: str = "fp32"
    for_s: float | None = None

    def __post_init__(self) -> None:
        if self.replay not in ("as-run", "ideal"):
            raise ConfigError(f"replay={self.replay!r} is neither 'as-run' nor 'ideal'")
        if self.recording is not None and not (self.inputs.empty and self.text is None):
            raise ConfigError("a recording takes the place of all sources; leave them out")
        if self.recording is None and self.inputs.empty and self.text is None:
            raise ConfigError(
                "no source is named; for example: mmedge serve --camera 0 --mic default"
            )


def serve(path: Path, config: ServeConfig, check: Callable[[Bundle], None]) -> str:
    """Predict live, or along a recording, until it is told to end.

    Args:
        path: the bundle's folder.
        config: everything else.
        check: raises if a bundle that takes over while running is not to be trusted.

    Returns:
        Why it ended, for people.

    Raises:
        MmedgeError: it cannot begin. What happens later shows in the state, and ends nothing.
    """
    bundle = downmixed(open_bundle(path), config.downmix)
    if config.recording is not None:
        return _replay(bundle, config.recording, config)
    feeds = bind(config.inputs, bundle.manifest.modalities)
    quitting = threading.Event()
    frames: list[Callable[[], Frame | None]] = []
    sinks = make_sinks(config.outputs, lambda: frames[0]() if frames else None, quitting.set)
    recorder = None
    if config.outputs.record is not None:
        recorder = Recorder(RecordConfig(path=config.outputs.record), bundle, config.live)
    pipeline = Pipeline(
        bundle,
        feeds=feeds,
        sinks=sinks,
        config=config.live,
        backend=config.backend,
        plan=config.plan,
        recorder=recorder,
    )
    frames.append(pipeline.latest_frame)
    try:
        if config.prompts:
            pipeline.set_prompts(config.prompts, config.template)
        pipeline.start()
        if config.text is not None:
            pipeline.push(_only_text(bundle), config.text)
        ended = lambda: "the window was closed" if quitting.is_set() else ""  # noqa: E731
        return run_service(pipeline, bundle=path, check=check, for_s=config.for_s, ended=ended)
    finally:
        pipeline.close()
        if recorder is not None:
            recorder.close()


def record(path: Path, inputs: Inputs, config: RecordConfig) -> Header:
    """Record what the bundle's modalities would see and hear, until it is told to end.

    Returns:
        The recording's header.

    Raises:
        MmedgeError: it cannot begin.
    """
    bundle = open_bundle(path)
    if inputs.empty:
        raise ConfigError("no source is named; for example: mmedge record --camera 0 ...")
    feeds = bind(inputs, bundle.manifest.modalities)
    with Recorder(config, bundle, LiveConfig()) as recorder:
        pipeline = Pipeline(bundle, feeds=feeds, recorder=recorder, predict=False)
        pipeline.start()
        run_service(pipeline, bundle=path, check=lambda _: None, ended=lambda: recorder.ended)
    return parse_header(config.path)


def _replay(bundle: Bundle, path: Path, config: ServeConfig) -> str:
    recording = open_recording(path)
    sinks = make_sinks(config.outputs, lambda: None, lambda: None)
    with Predictor(bundle, backend=config.backend, plan=config.plan) as predictor:
        if config.prompts:
            predictor.set_prompts(config.prompts, config.template)
        exact = config.replay == "as-run"
        ticks = as_run(predictor, recording) if exact else ideal(predictor, recording, config.live)
        try:
            for tick in ticks:
                for sink in sinks:
                    sink.emit(tick)
        finally:
            for sink in sinks:
                sink.close()
    return "the recording has come to its end"


def _only_text(bundle: Bundle) -> str:
    names = [name for name, each in bundle.manifest.modalities.items() if each.kind == "text"]
    if len(names) != 1:
        raise ConfigError(f"--text needs a model with one text modality; it has {len(names)}")
    return names[0]


def run_service(
    pipeline: Pipeline,
    *,
    bundle: Path,
    check: Callable[[Bundle], None],
    for_s: float | None = None,
    ended: Callable[[], str] = lambda: "",
) -> str:
    """Run a started pipeline until it is told to end, and close it.

    SIGINT and SIGTERM end it; SIGHUP opens the bundle's folder again and goes on with what
    is there now, or with the old one if that does not pass ``check``. Where systemd
    listens, it is told.

    Args:
        pipeline: started.
        bundle: its folder.
        check: raises if a bundle is not to be trusted with the work.
        for_s: end after so long.
        ended: says why it is to end, or nothing.

    Returns:
        Why it ended, for people.
    """
    begun_s = time.monotonic()
    systemd = Systemd(os.environ)
    systemd.ready()  # the graphs are warm; a device that is missing is no reason to begin anew
    with _signals() as asked:
        while True:
            if asked.reload.is_set():
                asked.reload.clear()
                _reload(pipeline, bundle, check)
            if pipeline.failure is not None:
                raise pipeline.failure
            systemd.beat(pipeline.progress, time.monotonic_ns())
            why = asked.why or ended()
            if not why and for_s is not None and time.monotonic() - begun_s >= for_s:
                why = f"{for_s:g} s are over"
            if not why and pipeline.ended:
                why = "every source has come to its end"
            if why:
                systemd.stopping()
                pipeline.close()
                return why
            asked.stop.wait(_POLL_S)


class _Asked:
    """What signals have asked for."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.reload = threading.Event()
        self.why = ""

    def end(self, number: int, frame: FrameType | None) -> None:
        """A signal to end; a second one ends at once."""
        if self.why:
            raise KeyboardInterrupt
        self.why = signal.Signals(number).name
        self.stop.set()

    def again(self, number: int, frame: FrameType | None) -> None:
        """A signal to open the bundle again."""
        self.reload.set()


@contextmanager
def _signals() -> Iterator[_Asked]:
    """Listen to signals, where this is the main thread, and give them back afterwards."""
    asked = _Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    wanted = {signal.SIGINT: asked.end, signal.SIGTERM: asked.end}
    if hasattr(signal, "SIGHUP"):  # not on Windows
        wanted[signal.SIGHUP] = asked.again
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reload(pipeline: Pipeline, bundle: Path, check: Callable[[Bundle], None]) -> None:
    try:
        pipeline.swap(open_bundle(bundle), check)
    except MmedgeError as exc:
        _log.warning("the bundle was not changed, the old one goes on: %s", exc)
