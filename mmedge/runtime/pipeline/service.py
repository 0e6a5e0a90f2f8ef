"""What the live commands do: predict, record, replay.

What records and replays is loaded when it is asked for: most predict, and for months.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mmedge.bundle import Bundle, open_bundle
from mmedge.errors import ConfigError, ResourceError, SourceError
from mmedge.runtime.pipeline.binding import Inputs, bind
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.feeds import Feed
from mmedge.runtime.pipeline.outputs import Outputs, make_sinks
from mmedge.runtime.pipeline.pipeline import Pipeline
from mmedge.runtime.pipeline.running import run_service
from mmedge.runtime.pipeline.status import Status
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.samples import Frame
from mmedge.specs import Sound

if TYPE_CHECKING:
    from mmedge.runtime.pipeline.recorder import RecordConfig, Recorder
    from mmedge.runtime.recording import Header

__all__ = ["ServeConfig", "find_bundle", "record", "serve"]


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
        live: how the pipeline behaves. A recording is replayed as it was made: ``as-run``
            always, ``ideal`` unless this says anything but the defaults.
        prompts: texts to choose from; empty for the model's own labels. A replay takes those
            of its recording: ``as-run`` always, ``ideal`` unless there are any here.
        templates: sentences around each prompt, whose mean counts; empty for none.
        downmix: how stereo becomes mono, where the model does not say.
        backend: what runs the graphs; ``auto`` for what was measured to be fastest here.
        plan: which of the bundle's plans; ``auto`` for the fastest known to be right here.
        for_s: end after so long; ``None`` goes on for ever.
    """

    inputs: Inputs
    text: str | None = None
    recording: Path | None = None
    replay: str = "ideal"
    outputs: Outputs = field(default_factory=Outputs)
    live: LiveConfig = field(default_factory=LiveConfig)
    prompts: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    downmix: str | None = None
    backend: str = "auto"
    plan: str = "auto"
    for_s: float | None = None

    def __post_init__(self) -> None:
        if self.replay not in ("as-run", "ideal"):
            raise ConfigError(f"replay={self.replay!r} is neither 'as-run' nor 'ideal'")
        if self.for_s is not None and not self.for_s > 0:
            raise ConfigError(f"{self.for_s:g} s (--for) must be positive")
        if self.templates and not self.prompts:
            raise ConfigError("--template needs prompts to stand around; give some by --prompts")
        if self.recording is not None:
            if self.prompts and self.replay == "as-run":
                raise ConfigError("as-run repeats with the recorded prompts; leave out --prompts")
            if not (self.inputs.empty and self.text is None):
                raise ConfigError("a recording takes the place of all sources; leave them out")
            if self.outputs.show:
                raise ConfigError("a replay shows no pictures yet; leave out --show")
            if self.outputs.record is not None:
                raise ConfigError("a recording is not recorded again; copy it")
        if self.recording is None and self.inputs.empty and self.text is None:
            raise ConfigError(
                "no source is named; for example: mmedge serve --camera 0 --mic default"
            )


def serve(
    path: Path,
    config: ServeConfig,
    check: Callable[[Bundle], None],
    tell: Callable[[str], None] = lambda _: None,
) -> str:
    """Predict live, or along a recording, until it is told to end.

    Args:
        path: the bundle's folder.
        config: everything else.
        check: raises if a bundle that takes over while running is not to be trusted.
        tell: told, for people, what belongs in no log: a token that was made.

    Returns:
        Why it ended, for people.

    Raises:
        SourceError: it has ended, and nothing ever came from a source.
        MmedgeError: it cannot begin. What happens later shows in the state, and ends nothing.
    """
    if config.recording is not None:
        return _replay(path, config.recording, config, tell)

    def load() -> Bundle:
        return _open(path, config.downmix)

    bundle = load()
    feeds = bind(config.inputs, bundle.manifest.modalities)
    text = None if config.text is None else _only_text(bundle, feeds)
    keep = config.outputs.record
    frames: list[Callable[[], Frame | None]] = []
    quitting = threading.Event()
    with ExitStack() as stack:
        latest = lambda: frames[0]() if frames else None  # noqa: E731
        sinks = make_sinks(config.outputs, latest, quitting.set, tell)
        for sink in sinks:
            stack.callback(sink.close)  # closing twice is fine
        pipeline = Pipeline(
            bundle,
            feeds=feeds,
            sinks=sinks,
            config=config.live,
            backend=config.backend,
            plan=config.plan,
            recorder=None if keep is None else _recorder(keep, bundle, config.live),
        )
        stack.pop_all()  # from here on they are the pipeline's
        stack.callback(pipeline.close)
        frames.append(pipeline.latest_frame)
        if config.prompts:
            pipeline.set_prompts(config.prompts, config.templates or "{}")
        pipeline.start()
        if config.text is not None and text is not None:
            pipeline.push(text, config.text)
        ended = lambda: "nobody looks any more" if quitting.is_set() else ""  # noqa: E731
        why = run_service(pipeline, load=load, check=check, for_s=config.for_s, ended=ended)
    if feeds and not any(each.samples for each in pipeline.status().sources):
        raise SourceError(f"it ended because {why}, and {_why_nothing(pipeline)}")
    return why


def record(
    path: Path, inputs: Inputs, config: RecordConfig, on_begin: Callable[[], None] = lambda: None
) -> tuple[Header, str]:
    """Record what the bundle's modalities would see and hear, until it is told to end.

    Args:
        path: the bundle's folder.
        inputs: the sources.
        config: where to, and how much.
        on_begin: told when it begins.

    Returns:
        The recording's header, and why it ended, as for `serve`.

    Raises:
        MmedgeError: it cannot begin.
        SourceError: nothing came.
        ResourceError: the disk was full.
    """
    from mmedge.runtime.recording import parse_header

    if inputs.empty:
        raise ConfigError("no source is named; for example: mmedge record --camera 0 ...")
    bundle = open_bundle(path)
    feeds = bind(inputs, bundle.manifest.modalities)
    recorder = _recorder(config, bundle, LiveConfig())
    with Pipeline(bundle, feeds=feeds, recorder=recorder, predict=False) as pipeline:
        on_begin()
        why = run_service(pipeline, load=lambda: bundle, ended=lambda: recorder.ended)
    header = parse_header(config.path)
    if not header.complete:
        raise ResourceError(f"{config.path}: {header.ended}; what it holds can be read")
    if not header.tracks:
        shutil.rmtree(config.path)  # there is nothing in it
        raise SourceError(f"nothing was recorded: {_why_nothing(pipeline)}")
    return header, why


def _open(path: Path, downmix: str | None) -> Bundle:
    if downmix is None:
        return open_bundle(path)
    from mmedge.runtime.offline import downmixed

    return downmixed(open_bundle(path), downmix)


def _recorder(config: RecordConfig, bundle: Bundle, live: LiveConfig) -> Recorder:
    from mmedge.runtime.pipeline.recorder import Recorder

    return Recorder(config, bundle, live)


def _why_nothing(pipeline: Pipeline) -> str:
    told = [f"{each.name}: {each.reason or each.state}" for each in pipeline.status().sources]
    return f"nothing came from any source ({'; '.join(told)})"


def _replay(path: Path, recorded: Path, config: ServeConfig, tell: Callable[[str], None]) -> str:
    from mmedge.runtime.pipeline.replay import as_run, ideal, recorded_config, recorded_run
    from mmedge.runtime.recording import open_recording

    recording = open_recording(recorded)
    exact = config.replay == "as-run"
    recorded_so = exact or config.live == LiveConfig()
    live = recorded_config(recording) if recorded_so else config.live
    heard = [m for m in recording.header.modalities.values() if isinstance(m, Sound)]
    downmix = config.downmix or next((each.downmix for each in heard if each.downmix), None)
    bundle = _open(path, downmix)
    with ExitStack() as stack:
        threads = live.threads or (1 if exact else None)  # the log tells which graphs had more
        how = (config.backend, config.plan)
        backend, plan = recorded_run(recording, *how) if exact else how
        made = Predictor(bundle, backend=backend, plan=plan, threads=threads, measure=False)
        predictor = stack.enter_context(made)
        if predictor.choice.why:
            tell(str(predictor.choice))
        if config.prompts:
            predictor.set_prompts(config.prompts, config.templates or "{}")
        sinks = make_sinks(config.outputs, lambda: None, lambda: None, tell)
        for sink in sinks:
            stack.callback(sink.close)
            sink.show(_replayed(bundle))
        tick = None
        if exact:
            ticks = as_run(predictor, recording)
        else:
            ticks = ideal(predictor, recording, live, recorded_prompts=not config.prompts)
        for tick in ticks:
            for sink in sinks:
                sink.emit(tick)
    if tick is None:
        remedy = "; 'mmedge record' makes none, but --replay ideal does" if exact else ""
        raise SourceError(f"{recorded} holds nothing to be predicted again{remedy}")
    return "the recording has come to its end"


def _replayed(bundle: Bundle) -> Status:
    name, now_ns = bundle.manifest.name, time.monotonic_ns()
    return Status(time_ns=now_ns, bundle=bundle.digest, model=name, ready=True)


def _only_text(bundle: Bundle, feeds: Sequence[Feed]) -> str:
    names = [name for name, each in bundle.manifest.modalities.items() if each.kind == "text"]
    if len(names) != 1:
        raise ConfigError(f"--text needs a model with one text modality; it has {len(names)}")
    if any(names[0] in feed.feeds.values() for feed in feeds):
        raise ConfigError(f"{names[0]!r} has a source already; leave out --text or the source")
    return names[0]
