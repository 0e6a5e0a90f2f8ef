"""How a user's module wants to be called, read from its signature."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from mmedge.errors import ConfigError
from mmedge.manifest import PRESENCE

__all__ = [
    "HeadCall",
    "call_encoder",
    "call_head",
    "describe_positions",
    "head_call",
    "takes_presence",
]

HeadCall = Literal["keywords", "mapping", "sequence", "positional"]


def call_encoder(module: nn.Module, seen: Sequence[Tensor]) -> Any:
    """Call an encoder with what its front-end gives: one tensor, or a text's ids and mask.

    As many tensors go by position as the module requires. A mask that is left goes to the
    optional parameter that has "mask" in its name (transformers' ``attention_mask``); a
    module that has none does without.
    """
    parameters = list(inspect.signature(module.forward).parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return module(*seen)
    placed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = max(1, sum(p.default is p.empty for p in placed))
    left = seen[required:]
    masks = [p.name for p in parameters[required:] if "mask" in p.name]
    return module(*seen[:required], **({masks[0]: left[0]} if left and masks else {}))


def takes_presence(head: nn.Module) -> bool:
    """Tell whether the head's ``forward`` has a parameter ``presence``."""
    return PRESENCE in inspect.signature(head.forward).parameters


def head_call(head: nn.Module, names: Sequence[str]) -> HeadCall:
    """Find out how a head wants its embeddings.

    Raises:
        ConfigError: its signature fits no way of calling.
    """
    given = [p for n, p in inspect.signature(head.forward).parameters.items() if n != PRESENCE]
    if any(p.kind is p.VAR_KEYWORD for p in given) or set(names) <= {p.name for p in given}:
        return "keywords"
    many = any(p.kind is p.VAR_POSITIONAL for p in given)
    required = [p for p in given if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    if many or len(required) == len(names) > 1:
        return "positional"
    if len(required) == 1:
        return _sole(required[0], len(names))
    raise ConfigError(
        f"the fusion head takes ({', '.join(p.name for p in given)}), but the encoders give "
        f"{', '.join(names)}. Name its parameters after them, or take one mapping, or as many "
        "positional arguments; Fusion(call=...) settles what cannot be seen."
    )


def call_head(
    head: nn.Module, way: HeadCall, inputs: Mapping[str, Tensor], extra: Mapping[str, Tensor]
) -> Any:
    """Call a head in a way that `head_call` found, or the recipe names."""
    if way == "keywords":
        return head(**inputs, **extra)
    if way == "mapping":
        return head(dict(inputs), **extra)
    if way == "sequence":
        return head(list(inputs.values()), **extra)
    return head(*inputs.values(), **extra)


def describe_positions(head: nn.Module, names: Sequence[str]) -> str:
    """Say which input goes to which of the head's parameters, for the user to check."""
    given = [n for n in inspect.signature(head.forward).parameters if n != PRESENCE]
    pairs = [f"{p}={n}" for p, n in zip(given, names, strict=False)]
    return f"the fusion head takes its inputs by position: {', '.join(pairs)}"


def _sole(parameter: inspect.Parameter, count: int) -> HeadCall:
    """One argument for all: what it is called in the annotation decides."""
    annotation = str(parameter.annotation).lower()
    if any(word in annotation for word in ("mapping", "dict")):
        return "mapping"
    if any(word in annotation for word in ("list", "tuple", "sequence")):
        return "sequence"
    return "mapping" if count > 1 else "positional"
