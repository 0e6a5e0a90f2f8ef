"""An encoder with its front-end, as it becomes a graph and as the proof runs it."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mmedge.errors import ConfigError
from mmedge.export.calling import TextCall, text_call
from mmedge.export.imported.file import OnnxFile
from mmedge.export.recipe import Encoder
from mmedge.export.returned import choose, named, shape_of
from mmedge.models.log_mel import LogMelFrontEnd
from mmedge.models.normalise import NormaliseFrontEnd, StandardiseFrontEnd, StandardiseWindow
from mmedge.specs import Image, Modality, Signal, Sound, Text

__all__ = ["EncoderGraph"]


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

    def forward(self, *raw: Tensor) -> tuple[Tensor, ...]:
        """Give the embedding, then the mask if there is one.

        Raises:
            ConfigError: the encoder returned something that no head could take.
        """
        if self.file is None:
            return self._encode(*raw)
        # The file may know no other batch than 1.
        rows = [self._encode(*(t[i : i + 1] for t in raw)) for i in range(len(raw[0]))]
        return tuple(torch.cat(parts) for parts in zip(*rows, strict=True))

    def seen(self, *raw: Tensor) -> tuple[Tensor, ...]:
        """Give what the front-end makes of a raw input, or the input where there is none."""
        return raw if self.front_end is None else _as_tuple(self.front_end(*raw))

    def given(self, *raw: Tensor) -> tuple[Tensor, ...]:
        """Give what the encoder is called with."""
        seen = self.seen(*raw)
        return seen[:1] if self._text is not None and self._text.mask is None else seen

    def keys(self, returned: Any) -> tuple[str | int, ...]:
        """Find which of what the encoder returned count: the embedding, the mask."""
        found = [choose(returned, self._output, self.what, "Encoder(..., output")]
        if self._mask is not None:
            found.append(choose(returned, self._mask, self.what, "Encoder(..., mask"))
        return tuple(found)

    def _encode(self, *raw: Tensor) -> tuple[Tensor, ...]:
        call = self.encoder if self._text is None else partial(self._text, self.encoder)
        returned = call(*self.seen(*raw))
        embedding, *mask = (named(returned)[key] for key in self.keys(returned))
        if embedding.ndim not in (2, 3) or not embedding.is_floating_point():
            raise ConfigError(
                f"{self.what} returned {str(embedding.dtype)[6:]} {shape_of(embedding)}; float32 "
                "[B, D] or [B, T, D] was expected. Pool or flatten the rest inside the encoder."
            )
        if not mask:
            return (embedding.float(),)
        if mask[0].shape[1:] != embedding.shape[1:2] or embedding.ndim != 3:
            raise ConfigError(
                f"{self.what} returned a mask {shape_of(mask[0])} for an output "
                f"{shape_of(embedding)}; [B, T] for [B, T, D] was expected"
            )
        return embedding.float(), mask[0].to(torch.bool)

    def _text_call(self) -> TextCall:
        file = self.file
        if file is None:
            return text_call(self.what, self.encoder)
        names = file.feeds()
        if len(names) == 1:
            return TextCall(None, f"{self.what} takes no mask: it reads the padding as text")
        return TextCall("", f"{self.what} takes ids and mask as {', '.join(names)}")


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
