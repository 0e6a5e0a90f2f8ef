"""What a text encoder reads."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mmedge.specs.base import Spec

__all__ = ["Text"]


class Text(Spec):
    """A text, as token ids of a fixed length.

    The graph's inputs are int64 ``ids`` ``[B, max_tokens]`` and int64 ``mask`` of the
    same shape, 1 where a token stands and 0 where ``pad_id`` fills up.

    Attributes:
        tokenizer: file in the JSON format of the ``tokenizers`` library; in a recipe a
            path (relative to the recipe's file), in a manifest a file of the bundle.
        max_tokens: longer texts are cut there.
        pad_id: token that fills up shorter texts.
    """

    kind: Literal["text"] = "text"
    tokenizer: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    max_tokens: Annotated[int, Field(ge=1, le=8192)]
    pad_id: Annotated[int, Field(ge=0)] = 0
