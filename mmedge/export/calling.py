"""How a user's module wants to be called, read from its signature."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from mmedge.errors import ConfigError
from mmedge.manifest import PRESENCE

__all__ = [
    "WAYS",
    "HeadCall",
    "TextCall",
    "call_head",
    "describe_positions",
    "head_call",
    "takes_presence",
    "text_call",
]

HeadCall = Literal["keywords", "mapping", "sequence", "positional"]
WAYS: Mapping[HeadCall, str] = {
    "keywords": "keyword arguments",
    "mapping": "one mapping",
    "sequence": "one list",
    "positional": "positional arguments",
}
_MASK = re.compile(r"(.*_)?mask")


@dataclass(frozen=True, slots=True)
class TextCall:
    """How a text encoder takes its mask, which is 1 where a token stands and 0 at padding.

    Attributes:
        mask: the parameter that gets it; ``""`` for the second position, ``None`` for none.
        note: what the user should check.
    """

    mask: str | None
    note: str = ""

    def __call__(self, module: nn.Module, ids: Tensor, mask: Tensor) -> Any:
        """Call the encoder."""
        if self.mask is None:
            return module(ids)
        return module(ids, **{self.mask: mask}) if self.mask else module(ids, mask)


def text_call(what: str, module: nn.Module) -> TextCall:
    """Find out how a text encoder takes ids and mask.

    Raises:
        ConfigError: by keyword only, or with a mask of the opposite meaning.
    """
    parameters = list(inspect.signature(module.forward).parameters.values())
    first = parameters[0] if parameters else None
    if first is None or first.kind in (first.KEYWORD_ONLY, first.VAR_KEYWORD):
        raise ConfigError(
            f"{what} takes its inputs by keyword only; wrap it in a module whose forward takes "
            "(ids, mask)"
        )
    if first.kind is first.VAR_POSITIONAL:
        return TextCall("", f"{what} is called with (ids, mask) by position")
    rest = [p for p in parameters[1:] if p.kind is not p.VAR_KEYWORD]
    masks = sorted((p.name for p in rest if _MASK.fullmatch(p.name)), key=len)
    if any("pad" in name for name in masks):
        raise ConfigError(
            f"{what} takes {masks[0]!r}, which in torch means True at padding; mmedge's mask is 1 "
            "where a token stands. Wrap it in a module whose forward takes (ids, mask) and turns "
            "the mask round."
        )
    if masks:
        return TextCall(masks[0])
    required = [p for p in rest if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    if required:
        note = f"{what} gets the mask as {required[0].name!r}: 1 where a token stands"
        return TextCall(required[0].name, note)
    return TextCall(None, f"{what} takes no mask: it reads the padding as text")


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
        _refuse_misplaced([p.name for p in required], names)
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


def _refuse_misplaced(given: Sequence[str], names: Sequence[str]) -> None:
    """A parameter named after one modality must not be handed another."""
    for parameter, name in zip(given, names, strict=False):
        if parameter in names and parameter != name:
            raise ConfigError(
                f"the fusion head takes ({', '.join(given)}), and by position {parameter!r} would "
                f"get {name!r}. Name all of its parameters after the modalities "
                f"({', '.join(names)}), or bring these into its order."
            )


def _sole(parameter: inspect.Parameter, count: int) -> HeadCall:
    """One argument for all: what it is called in the annotation decides."""
    annotation = str(parameter.annotation).lower()
    if any(word in annotation for word in ("mapping", "dict")):
        return "mapping"
    if any(word in annotation for word in ("list", "tuple", "sequence")):
        return "sequence"
    return "mapping" if count > 1 else "positional"
