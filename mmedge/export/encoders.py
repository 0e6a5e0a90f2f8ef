"""An encoder with its front-end, as it becomes a graph and as the proof runs it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mmedge.errors import ConfigError
from mmedge.export.calling import TextCall, text_call
from mmedge.export.imported.file import OnnxFile
from mmedge.export.recipe import Encoder
from mmedge.export.returned import choose, named, shape_of
from mmedge.export.state import State
from mmedge.manifest import TOKENS_MASK
from mmedge.models.log_mel import LogMelFrontEnd
from mmedge.models.normalise import NormaliseFrontEnd, StandardiseFrontEnd, StandardiseWindow
from mmedge.specs import Image, Modality, Signal, Sound, Text

__all__ = ["EncoderGraph"]


class EncoderGraph(nn.Module):
    """Raw input -> front-end -> encoder -> embedding (and a mask of the tokens, and states)."""

    def __init__(self, name: str, modality: Modality, encoder: Encoder) -> None:
        super().__init__()
        self.name = name
        self.front_end = encoder.front_end or _front_end(modality)
        self.encoder = encoder.module
        self.states = encoder.remembers(modality)
        along = 1 if isinstance(modality, Signal) else -1
        self.context = Context(encoder.context, along) if encoder.context else None
        self._output = encoder.output
        self._mask = encoder.mask
        plain_text = isinstance(modality, Text) and encoder.front_end is None
        self._text = self._text_call() if plain_text else None

    @property
    def what(self) -> str:
        """The encoder, as the subject of a message."""
        return f"encoder {self.name!r}"

    @property
    def file(self) -> OnnxFile | None:
        """The ONNX file that the encoder is, if it is none of torch."""
        return self.encoder if isinstance(self.encoder, OnnxFile) else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should check."""
        file = self.file
        made = () if file is None else (f"{self.what} is {file.path.name}, {file.digest[:12]}",)
        return (*made, *((self._text.note,) if self._text is not None and self._text.note else ()))

    @property
    def has_mask(self) -> bool:
        """Whether a mask of the tokens is a second output."""
        return self._mask is not None

    @property
    def own_states(self) -> tuple[State, ...]:
        """The states of the encoder itself, without the context before a window."""
        return self.states[1:] if self.context is not None else self.states

    def initial(self, batch: int) -> dict[str, Tensor]:
        """Give the graph's inputs of state for a first window."""
        return {state.tensors[0]: state.initial(batch) for state in self.states}

    def outputs(self, made: Sequence[Tensor]) -> dict[str, Tensor]:
        """Name what `forward` gave as the graph's outputs."""
        names = ["embedding" if made[0].ndim == 2 else "tokens"]
        names += [TOKENS_MASK] if self.has_mask else []
        names += [state.tensors[1] for state in self.states]
        return dict(zip(names, made, strict=True))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run on raw inputs, then states.

        Returns:
            the embedding, the mask if there is one, the states for the next window.

        Raises:
            ConfigError: the encoder returned something that no head could take.
        """
        if self.file is None:
            return self._encode(*inputs)
        # The file may know no other batch than 1.
        rows = [self._encode(*(t[i : i + 1] for t in inputs)) for i in range(len(inputs[0]))]
        return tuple(torch.cat(parts) for parts in zip(*rows, strict=True))

    def joined(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Give the raw inputs, with their context before them."""
        raw, held = self._split(inputs)
        return raw if self.context is None else (self.context(held[0], raw[0])[0],)

    def seen(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Give what the front-end makes of a raw input, or the input where there is none."""
        raw = self.joined(*inputs)
        return raw if self.front_end is None else _as_tuple(self.front_end(*raw))

    def given(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Give what the encoder is called with, besides its states."""
        seen = self.seen(*inputs)
        return seen[:1] if self._text is not None and self._text.mask is None else seen

    def next_context(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Give the context of the next window, if there is one."""
        raw, held = self._split(inputs)
        return () if self.context is None else (self.context(held[0], raw[0])[1],)

    def keys(self, returned: Any) -> tuple[str | int, ...]:
        """Find which of what the encoder returned count: embedding, mask, own states."""
        kept = [
            choose(returned, state.output, self.what, "State(..., output")
            for state in self.own_states
        ]
        found = [choose(returned, self._output, self.what, "Encoder(..., output", kept)]
        if self._mask is not None:
            found.append(choose(returned, self._mask, self.what, "Encoder(..., mask"))
        return (*found, *kept)

    def call(self, *inputs: Tensor) -> Any:
        """Run the encoder behind its front-end, and give what it returned."""
        held = self._split(inputs)[1][len(self.states) - len(self.own_states) :]
        states = {
            state.input: tensor.movedim(0, state.axis).contiguous()
            for state, tensor in zip(self.own_states, held, strict=True)
        }
        call = self.encoder if self._text is None else partial(self._text, self.encoder)
        return call(*self.seen(*inputs), **states)

    def _encode(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        returned = self.call(*inputs)
        made = [named(returned)[key] for key in self.keys(returned)]
        embedding, rest = made[0], made[1:]
        if embedding.ndim not in (2, 3) or not embedding.is_floating_point():
            raise ConfigError(
                f"{self.what} returned {str(embedding.dtype)[6:]} {shape_of(embedding)}; float32 "
                "[B, D] or [B, T, D] was expected. Pool or flatten the rest inside the encoder."
            )
        outputs = [embedding.float()]
        if self._mask is not None:
            outputs.append(self._checked_mask(rest.pop(0), embedding))
        outputs += self.next_context(*inputs)
        outputs += [self._kept(*pair) for pair in zip(self.own_states, rest, strict=True)]
        return tuple(outputs)

    def _checked_mask(self, mask: Tensor, embedding: Tensor) -> Tensor:
        if mask.shape[1:] != embedding.shape[1:2] or embedding.ndim != 3:
            raise ConfigError(
                f"{self.what} returned a mask {shape_of(mask)} for an output "
                f"{shape_of(embedding)}; [B, T] for [B, T, D] was expected"
            )
        return mask.to(torch.bool)

    def _kept(self, state: State, came: Tensor) -> Tensor:
        sizes = list(came.shape)
        del sizes[state.axis : state.axis + 1]  # not looked at: that would fix the batch
        if came.ndim != len(state.row) + 1 or sizes != list(state.row):
            raise ConfigError(
                f"{self.what} gives the state {state.name!r} back as {list(came.shape)}, but "
                f"State(shape=...) says {state.shape}: it is what the module takes and gives, with "
                "'batch' where its batch stands"
            )
        return came.movedim(state.axis, 0).float()

    def _split(self, inputs: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        count = len(inputs) - len(self.states)
        return inputs[:count], inputs[count:]

    def _text_call(self) -> TextCall:
        file = self.file
        if file is None:
            return text_call(self.what, self.encoder)
        names = file.feeds([state.input for state in self.own_states])
        if len(names) == 1:
            return TextCall(None, f"{self.what} takes no mask: it reads the padding as text")
        return TextCall("", f"{self.what} takes ids and mask as {', '.join(names)}")


class Context(nn.Module):
    """Puts the end of the window before in front of a window, and keeps the end of that."""

    def __init__(self, samples: int, along: int) -> None:
        super().__init__()
        self._samples, self._along = samples, along

    def forward(self, before: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
        """Give both in one, and its last samples."""
        whole = torch.cat([before, window], dim=self._along)
        begin = whole.shape[self._along] - self._samples
        return whole, whole.narrow(self._along, begin, self._samples)


def _front_end(modality: Modality) -> nn.Module | None:
    if isinstance(modality, Image):
        return NormaliseFrontEnd(modality)
    if isinstance(modality, Signal):
        return StandardiseFrontEnd(modality)
    if isinstance(modality, Sound) and modality.log_mel is not None:
        return LogMelFrontEnd(modality.log_mel, modality.rate_hz)
    if isinstance(modality, Sound) and modality.standardise:
        return StandardiseWindow()
    return None


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)
