"""The torch modules that become graphs: an encoder with its front-end, a head with presence.

They are the reference of the parity proof as well: what is exported is what is compared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mmedge.errors import ConfigError
from mmedge.export.calling import (
    HeadCall,
    call_head,
    describe_positions,
    head_call,
    takes_presence,
    text_call,
)
from mmedge.export.recipe import Encoder, Fusion
from mmedge.manifest import PRESENCE
from mmedge.models.log_mel import LogMelFrontEnd
from mmedge.models.normalise import NormaliseFrontEnd, StandardiseFrontEnd
from mmedge.specs import Image, Modality, Raw, Regression, Signal, Sound, Task, Text

__all__ = ["EncoderGraph", "FusionGraph"]


class EncoderGraph(nn.Module):
    """Raw input -> front-end -> encoder -> embedding (and a mask of the tokens)."""

    def __init__(self, name: str, modality: Modality, encoder: Encoder) -> None:
        super().__init__()
        self.name = name
        self.front_end = encoder.front_end or _front_end(modality)
        self.encoder = encoder.module
        self._output = encoder.output
        self._mask = encoder.mask
        plain_text = isinstance(modality, Text) and encoder.front_end is None
        self._text = text_call(f"encoder {name!r}", encoder.module) if plain_text else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should check."""
        return (self._text.note,) if self._text is not None and self._text.note else ()

    @property
    def has_mask(self) -> bool:
        """Whether a mask of the tokens is a second output."""
        return self._mask is not None

    def forward(self, *raw: Tensor) -> tuple[Tensor, ...]:
        """Give the embedding, then the mask if there is one.

        Raises:
            ConfigError: the encoder returned something that no head could take.
        """
        seen = self.seen(*raw)
        call = self.encoder if self._text is None else partial(self._text, self.encoder)
        returned = call(*seen)
        what = f"encoder {self.name!r}"
        embedding = _pick(returned, self._output, what, "output")
        if embedding.ndim not in (2, 3) or not embedding.is_floating_point():
            raise ConfigError(
                f"{what} returned {str(embedding.dtype)[6:]} {_shape(embedding)}; float32 [B, D] "
                "or [B, T, D] was expected. Pool or flatten the rest inside the encoder."
            )
        if self._mask is None:
            return (embedding.float(),)
        mask = _pick(returned, self._mask, what, "mask")
        if mask.shape[1:] != embedding.shape[1:2] or embedding.ndim != 3:
            raise ConfigError(
                f"{what} returned a mask {_shape(mask)} for an output {_shape(embedding)}; [B, T] "
                "for [B, T, D] was expected"
            )
        return embedding.float(), mask.to(torch.bool)

    def seen(self, *raw: Tensor) -> tuple[Tensor, ...]:
        """Give what the front-end makes of a raw input, or the input where there is none."""
        return raw if self.front_end is None else _as_tuple(self.front_end(*raw))


class FusionGraph(nn.Module):
    """Embeddings and presence -> one output per task.

    Whatever stands in an absent slot is replaced before the head sees it, by zeros for a
    head that knows presence and else by the modality's default embedding; a ``Where`` does
    it, since NaN times zero is NaN.
    """

    def __init__(
        self,
        head: Fusion,
        inputs: Mapping[str, int],
        tasks: Mapping[str, Task],
        defaults: Mapping[str, Tensor],
    ) -> None:
        """Wrap a head.

        Args:
            head: the recipe's.
            inputs: name of each tensor input -> column of its modality in presence.
            tasks: name -> what the head answers.
            defaults: input -> what an absent slot holds, ``[D]`` or ``[T, D]``; an input
                that is not named gets zeros.
        """
        super().__init__()
        self.head = head.module
        self._inputs = dict(inputs)
        self._tasks = dict(tasks)
        self._knows_presence = takes_presence(head.module)
        self._call = head.call or head_call(head.module, list(inputs))
        for name, value in defaults.items():
            self.register_buffer(f"absent_{name}", value.detach().clone().float())

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, in the order of the outputs."""
        return tuple(self._tasks)

    @property
    def way(self) -> HeadCall:
        """How the head is called."""
        return self._call

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should check: the order, where names say nothing."""
        if self._call != "positional" or len(self._inputs) == 1:
            return ()
        return (describe_positions(self.head, list(self._inputs)),)

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Give the tasks' outputs in order, for the inputs in order and presence last."""
        presence = values[-1]
        inputs = {
            name: self._fill(name, value, presence[:, column])
            for (name, column), value in zip(self._inputs.items(), values[:-1], strict=True)
        }
        extra = {PRESENCE: presence} if self._knows_presence else {}
        returned = call_head(self.head, self._call, inputs, extra)
        return _by_task(returned, self._tasks)

    def _fill(self, name: str, value: Tensor, present: Tensor) -> Tensor:
        present = present.reshape(-1, *(1,) * (value.ndim - 1))
        if value.dtype == torch.bool:  # a mask: no token of an absent modality counts,
            return value & present if self._knows_presence else value | ~present
        default = getattr(self, f"absent_{name}", None)
        if default is not None and default.shape != value.shape[1:]:
            raise ConfigError(
                f"Fusion(absent=...) gives {tuple(default.shape)} for {name!r}, but its encoder "
                f"gives {_shape(value)}"
            )
        return torch.where(present, value, 0.0 if default is None else default)


def _front_end(modality: Modality) -> nn.Module | None:
    if isinstance(modality, Image):
        return NormaliseFrontEnd(modality)
    if isinstance(modality, Signal):
        return StandardiseFrontEnd(modality)
    if isinstance(modality, Sound) and modality.log_mel is not None:
        return LogMelFrontEnd(modality.log_mel, modality.rate_hz)
    return None


def _pick(returned: Any, key: str | int | None, what: str, field: str) -> Tensor:
    """Choose one tensor out of what a module returned."""
    if isinstance(returned, Tensor) and key is None:
        return returned
    named = _named(returned)
    if key is None and len(named) == 1:
        return next(iter(named.values()))
    if key in named:
        return named[key]
    came = f"{type(returned).__name__} with {', '.join(map(repr, named)) or 'no tensors'}"
    problem = "is needed" if key is None else f"{key!r} is not there"
    raise ConfigError(
        f"{what} returned a {came}; Encoder(..., {field}=...) {problem}. Name one of these."
    )


def _named(returned: Any) -> dict[Any, Tensor]:
    """Give the tensors in a mapping, sequence or dataclass by key, index or field."""
    if isinstance(returned, Tensor):
        items: list[tuple[Any, Any]] = [(0, returned)]
    elif isinstance(returned, Mapping):
        items = list(returned.items())
    elif isinstance(returned, (tuple, list)):
        fields = getattr(returned, "_fields", range(len(returned)))
        items = list(zip(fields, returned, strict=True))
    elif dataclasses.is_dataclass(returned):
        items = [(f.name, getattr(returned, f.name)) for f in dataclasses.fields(returned)]
    else:
        items = []
    return {key: value for key, value in items if isinstance(value, Tensor)}


def _by_task(returned: Any, tasks: Mapping[str, Task]) -> tuple[Tensor, ...]:
    named = _named(returned)
    if set(tasks) <= set(named):
        outputs = [named[name] for name in tasks]
    elif len(named) == len(tasks) and not isinstance(returned, Mapping):
        outputs = list(named.values())
    else:
        raise ConfigError(
            f"the fusion head returned a {type(returned).__name__} with {list(named)}, but the "
            f"tasks are {list(tasks)}. Return one tensor per task, by name or in this order."
        )
    return tuple(_fit(name, tasks[name], out) for name, out in zip(tasks, outputs, strict=True))


def _fit(name: str, task: Task, output: Tensor) -> Tensor:
    if output.ndim == 1 and task.shape == (1,):
        output = output.unsqueeze(1)
    if output.shape[1:] != task.shape:
        wanted = f"[B, {', '.join(map(str, task.shape))}]"
        what = f"{task.shape[0]} {'names' if isinstance(task, Regression) else 'labels'}"
        has = f"shape={task.shape}" if isinstance(task, Raw) else what
        raise ConfigError(
            f"task {name!r} has {has}, but the fusion head gives shape {_shape(output)} for it; "
            f"{wanted} was expected"
        )
    return output.float()


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _shape(value: Tensor) -> str:
    return "[B" + "".join(f", {n}" for n in value.shape[1:]) + "]"
