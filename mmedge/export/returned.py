"""What a user's module returned: tensors by key, index or field."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from mmedge.errors import ConfigError

__all__ = ["choose", "named", "shape_of"]


def choose(
    returned: Any,
    key: str | int | None,
    what: str,
    field: str,
    others: Collection[str | int] = (),
) -> str | int:
    """Find which of the returned tensors is meant.

    Args:
        returned: by a module.
        key: what the recipe says; ``None`` takes the only one there is.
        what: the module, as the subject of an error message.
        field: where in the recipe the key stands.
        others: keys that are spoken for.

    Raises:
        ConfigError: it is not there, or several are.
    """
    tensors = named(returned)
    left = [each for each in tensors if each not in others]
    if key is None and len(left) == 1:
        only: str | int = left[0]
        return only
    if key is not None and key in tensors:
        return key
    came = f"{type(returned).__name__} with {', '.join(map(repr, tensors)) or 'no tensors'}"
    problem = "is needed" if key is None else f"{key!r} is not there"
    raise ConfigError(f"{what} returned a {came}; {field}=...) {problem}. Name one of these.")


def named(returned: Any) -> dict[Any, Tensor]:
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


def shape_of(value: Tensor) -> str:
    """Write a shape for people: ``[B, 80, 100]``."""
    return "[B" + "".join(f", {n}" for n in value.shape[1:]) + "]"
