"""What all specifications have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["NAME_PATTERN", "Floats", "Labels", "Name", "Note", "Printable", "Size", "Spec"]

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


def _refuse_unprintable(text: str) -> str:
    """A label from a stranger is printed on terminals: no control or direction characters."""
    if not text.isprintable():
        raise ValueError(f"{text!r} holds characters that cannot be printed")
    return text


Printable = AfterValidator(_refuse_unprintable)
Label = Annotated[str, StringConstraints(min_length=1, max_length=256), Printable]
Size = Annotated[int, Field(ge=1, le=8192)]
Floats = Annotated[tuple[float, ...], Field(strict=False)]
Labels = Annotated[tuple[Label, ...], Field(strict=False, min_length=1, max_length=100_000)]
# Units and captions: free text, but short.
Note = Annotated[str, StringConstraints(max_length=256), Printable]


class Spec(BaseModel):
    """Frozen, keyword-only, checked when made; unknown fields and NaN are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )
