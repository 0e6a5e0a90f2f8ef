"""Engines are opened here and nowhere else, and what TensorRT says of a failure is ours to tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmedge.engines.listening import Heard, hear, listener_of
from mmedge.errors import IncompatibleError, MmedgeError, ResourceError

__all__ = ["failure", "made", "open_engine"]


def open_engine(
    engine: bytes, *, trt: Any, what: str, dla_core: int | None = None
) -> tuple[Any, Any]:
    """Open an engine.

    Args:
        engine: of this device's own making: opening it runs what is in it.
        trt: the module that built it, ``tensorrt`` or ``tensorrt_rtx``.
        what: the graph, for error messages.
        dla_core: the DLA that it was built for, if one was.

    Returns:
        the ``Runtime``, which has to live as long, and the ``ICudaEngine``.

    Raises:
        IncompatibleError: this TensorRT cannot open it.
        ResourceError: the memory does not suffice.
    """
    with hear(trt) as heard:
        runtime = made(trt.Runtime, listener_of(trt), what=what, heard=heard)
        if dla_core is not None:
            runtime.DLA_core = dla_core
        cuda_engine = made(runtime.deserialize_cuda_engine, engine, what=what, heard=heard)
    return runtime, cuda_engine


def made(make: Callable[..., Any], *arguments: Any, what: str, heard: Heard) -> Any:
    """Make a part of TensorRT's; where that fails it gives ``None``, or its bindings raise.

    Raises:
        IncompatibleError: it fails.
        ResourceError: the memory does not suffice.
    """
    try:
        part = make(*arguments)
    except TypeError as exc:
        raise failure("cannot open the engine", what, heard) from exc
    if part is None:
        raise failure("cannot open the engine", what, heard)
    return part


def failure(words: str, what: str, heard: Heard) -> MmedgeError:
    """Make the error of an engine that does not open or run; TensorRT's last words say why."""
    why = ["it gives no reason", *heard.complaints][-1]
    text = f"TensorRT {words} of {what}: {why.strip().rstrip('.')}."
    if "memory" in why.lower():
        return ResourceError(f"{text} Close what else uses the GPU's memory.")
    return IncompatibleError(f"{text} Build it again with: mmedge build BUNDLE")
