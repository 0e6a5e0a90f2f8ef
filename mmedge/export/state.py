"""What a recipe says of an encoder that remembers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mmedge.errors import ConfigError
from mmedge.specs import MAX_INIT, NAME_PATTERN, Signal, Sound, StateSpec

__all__ = ["CONTEXT", "State", "context_state"]

CONTEXT = "context"
"""Name of the state that holds the end of the window before; see `Encoder.context`."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What goes into an encoder from the window before, and comes out for the next one.

    Attributes:
        name: the graph's input is ``state_NAME``, its output ``next_NAME``.
        input: keyword of the module's ``forward``, or name of the ONNX file's input.
        output: key, attribute or index among what the module returns, or name of the file's
            output.
        shape: as the module takes it, ``"batch"`` where its batch stands:
            ``(2, "batch", 128)``. Without it the batch is axis 0 and the rest a row.
        init: what goes in with the first window: a number, or an array of a row's shape.
    """

    name: str
    input: str
    output: str | int
    shape: tuple[int | Literal["batch"], ...]
    init: Any = 0.0

    def __post_init__(self) -> None:
        if not re.fullmatch(NAME_PATTERN, self.name):
            raise ConfigError(f"State(name={self.name!r}): use lower-case letters, digits and _")
        sizes = [size for size in self.shape if size != "batch"]
        if self.shape.count("batch") > 1 or not all(type(n) is int and n > 0 for n in sizes):
            raise ConfigError(
                f"State(name={self.name!r}, shape={self.shape}): sizes are expected, and 'batch' "
                "once at most"
            )
        start = np.asarray(self.init)
        if start.ndim and start.shape != self.row:
            raise ConfigError(
                f"State(name={self.name!r}, init=...) has shape {start.shape}; a number or "
                f"{self.row} was expected"
            )
        if start.dtype.kind not in "fiu" or not np.isfinite(start).all():
            raise ConfigError(f"State(name={self.name!r}, init=...) must be finite numbers")
        if start.ndim and start.size > MAX_INIT:
            raise ConfigError(
                f"State(name={self.name!r}, init=...) has {start.size} values; beyond {MAX_INIT} "
                "it has to be one number"
            )

    @property
    def row(self) -> tuple[int, ...]:
        """The shape without the batch."""
        return tuple(size for size in self.shape if isinstance(size, int))

    @property
    def axis(self) -> int:
        """Where the module has its batch."""
        return self.shape.index("batch") if "batch" in self.shape else 0

    @property
    def tensors(self) -> tuple[str, str]:
        """Names of the graph's input and output."""
        return f"state_{self.name}", f"next_{self.name}"

    @property
    def spec(self) -> StateSpec:
        """What the manifest says of it."""
        came, went = self.tensors
        init = tuple(map(float, np.asarray(self.init, np.float32).ravel()))
        return StateSpec(name=self.name, input=came, output=went, init=init)

    def initial(self, batch: int) -> Tensor:
        """Give float32 ``[B, *row]``, what goes in with the first window."""
        flat = np.broadcast_to(np.asarray(self.init, np.float32).ravel(), (math.prod(self.row),))
        return torch.from_numpy(np.tile(flat, (batch, 1)).reshape(batch, *self.row))


def context_state(samples: int, modality: Sound | Signal) -> State:
    """The end of the window before, which stands before the window."""
    shape: tuple[int, ...] = (samples, modality.channels)  # a signal's
    if isinstance(modality, Sound):
        shape = (samples,) if modality.channels == 1 else (modality.channels, samples)
    return State(name=CONTEXT, input="", output="", shape=shape)
