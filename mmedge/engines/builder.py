"""One graph in, one engine out: a strongly typed network, compiled by whichever TensorRT.

What the graph's types say is what is computed: no flag lowers a precision, and TF32 is off.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mmedge.engines.config import BuildConfig
from mmedge.engines.listening import Heard, hear, interruptible, listener_of, make_monitor
from mmedge.engines.opening import open_engine
from mmedge.engines.profiles import Profile, check_profile
from mmedge.engines.settings import (
    give_timings,
    make_settings,
    network_flags,
    take_timings,
    use_dla,
)
from mmedge.engines.toolkit import Toolkit
from mmedge.errors import IncompatibleError, MmedgeError, ResourceError

__all__ = ["Compiled", "build_engine", "inspect_engine"]

_NO_MEMORY = ("out of memory", "outofmemory", "insufficient memory", "memory allocation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What the compiler made of a graph.

    Attributes:
        engine: serialised, in the toolkit's own format.
        layers: the compiler's own list of layers; empty where it gives none, and the engine
            has to be asked.
        seconds: how long it took.
        warnings: what the compiler warned of.
        notes: what a reader of the report should know, such as what a DLA does not run.
        timings: what it has measured, for the next graph; empty where there is nothing.
    """

    engine: bytes
    layers: str
    seconds: float
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    timings: bytes = b""


def build_engine(
    read_model: Callable[[], bytes],
    *,
    what: str,
    profile: Profile,
    config: BuildConfig,
    toolkit: Toolkit,
    say: Callable[[str], None] = lambda _: None,
    dla_core: int | None = None,
    timings: bytes | None = None,
) -> Compiled:
    """Compile one graph.

    Ctrl-C ends it at the compiler's next step, which may take some seconds.

    Args:
        read_model: gives the ONNX file's bytes, which are let go once they are parsed.
        what: the graph, for error messages.
        profile: the shapes that the engine takes.
        config: how to build.
        toolkit: what builds.
        say: told what is under way.
        dla_core: the DLA that takes this graph's layers, if one is to.
        timings: what was measured here before, and may be trusted; ``None`` to use none.

    Raises:
        ConfigError: the profile does not fit the graph.
        IncompatibleError: this TensorRT cannot build it, or not so.
        ResourceError: the memory does not suffice.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    begin_ns = time.perf_counter_ns()
    with hear(toolkit.trt) as heard:
        builder = _open_builder(toolkit, heard)
        network, _parser = _parse(builder, read_model, what, profile, toolkit)
        settings = make_settings(builder, profile, config, toolkit)
        notes = []
        if dla_core is not None:
            notes.append(use_dla(settings, builder, network, dla_core, toolkit))
        if timings is not None:
            give_timings(settings, timings)
        with interruptible() as stopped:
            if hasattr(settings, "progress_monitor"):
                settings.progress_monitor = make_monitor(toolkit.trt, say, stopped)
            serialised = builder.build_serialized_network(network, settings)
        if serialised is None:
            raise _failure(what, toolkit, heard)
    return Compiled(
        engine=bytes(serialised),
        layers=heard.layers,
        seconds=(time.perf_counter_ns() - begin_ns) / 1e9,
        warnings=tuple(dict.fromkeys(heard.complaints)),
        notes=tuple(notes),
        timings=b"" if timings is None else take_timings(settings),
    )


def inspect_engine(
    engine: bytes, what: str, toolkit: Toolkit, *, dla_core: int | None = None
) -> str:
    """Give what an ``EngineInspector`` says of an engine that was built just now, as JSON.

    Args:
        engine: of our own making: opening it runs what is in it.
        what: the graph, for error messages.
        toolkit: what built it.
        dla_core: the DLA that it was built for, if one was.

    Raises:
        IncompatibleError: it cannot be opened again.
        ResourceError: the memory does not suffice.
    """
    trt = toolkit.trt
    _runtime, cuda_engine = open_engine(engine, trt=trt, what=what, dla_core=dla_core)
    inspector = cuda_engine.create_engine_inspector()
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def _open_builder(toolkit: Toolkit, heard: Heard) -> Any:
    try:
        return toolkit.trt.Builder(listener_of(toolkit.trt))
    except TypeError as exc:  # how its bindings say that there is none
        why = [str(exc), *heard.complaints][-1]
        raise IncompatibleError(
            f"{toolkit.name} {toolkit.version} cannot start: {why}. Does the driver here run the "
            "CUDA that it was made for? 'mmedge doctor' compares them."
        ) from exc


def _parse(
    builder: Any,
    read_model: Callable[[], bytes],
    what: str,
    profile: Profile,
    toolkit: Toolkit,
) -> tuple[Any, Any]:
    """Give the network, and its parser, which has to live as long: it holds weights."""
    trt = toolkit.trt
    network = builder.create_network(network_flags(toolkit))
    parser = trt.OnnxParser(network, listener_of(trt))
    if not parser.parse(read_model()):
        raise IncompatibleError(_refusal(parser, what, toolkit))
    inputs = (network.get_input(index) for index in range(network.num_inputs))
    check_profile(what, profile, {tensor.name: tuple(tensor.shape) for tensor in inputs})
    return network, parser


def _refusal(parser: Any, what: str, toolkit: Toolkit) -> str:
    """Put the parser's first error into words."""
    error = parser.get_error(0) if parser.num_errors else None
    why = "no reason given" if error is None else error.desc()
    node = "" if error is None else error.node_name() or error.node_operator()
    return (
        f"{what}: {toolkit.name} {toolkit.version} does not take it, at {node or 'an unnamed node'}"
        f": {why}"
    )


def _failure(what: str, toolkit: Toolkit, heard: Heard) -> MmedgeError:
    """Make the error of a build that came to nothing; the compiler's last words say why."""
    why = heard.complaints[-1] if heard.complaints else "no reason given"
    text = f"{what}: {toolkit.name} {toolkit.version} could not build it: {why}"
    if any(sign in "".join(heard.complaints).lower() for sign in _NO_MEMORY):
        return ResourceError(
            f"{text}. Close what else uses the memory, or give less: --workspace-mib, --max-batch."
        )
    return IncompatibleError(text)
