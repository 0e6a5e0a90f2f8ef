"""What all specifications have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["NAME_PATTERN", "Floats", "Labels", "Name", "Note", "Size", "Spec"]

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
# No control characters: a label from a stranger is printed on terminals.
_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"
Label = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=_PRINTABLE)]
Size = Annotated[int, Field(ge=1, le=8192)]
Floats = Annotated[tuple[float, ...], Field(strict=False)]
Labels = Annotated[tuple[Label, ...], Field(strict=False, min_length=1, max_length=100_000)]
# Units and captions: free text, but short.
Note = Annotated[str, StringConstraints(max_length=256, pattern=_PRINTABLE)]


class Spec(BaseModel):
    """Frozen, keyword-only, checked when made; unknown fields and NaN are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )
