"""What a model answers."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from mmedge.specs.base import Floats, Labels, Name, Note, Spec

__all__ = ["Classification", "Matching", "MultiLabel", "Raw", "Regression"]

MAX_NUMBERS = 2**24
"""Numbers in one sample's answer: 64 MB of them, a mask of 4096 x 4096."""

Length = Annotated[int, Field(ge=1, le=MAX_NUMBERS)]


class Classification(Spec):
    """One label out of several; the head gives logits ``[B, len(labels)]``.

    Attributes:
        labels: in the order of the logits.
        threshold: below this probability no label is given.
        temperature: divides the logits before the softmax (Guo et al. 2017).
        background: labels that say that nothing is there; live, they begin no event.
    """

    kind: Literal["classification"] = "classification"
    labels: Labels
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.0
    temperature: Annotated[float, Field(gt=0)] = 1.0
    background: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the head's output, without the batch."""
        return (len(self.labels),)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_twins(self.labels)
        strange = [label for label in self.background if label not in self.labels]
        if strange:
            raise ValueError(f"background {strange[0]!r} is none of the labels")
        return self


class MultiLabel(Spec):
    """Any number of labels; the head gives one logit each, ``[B, len(labels)]``.

    Attributes:
        labels: in the order of the logits.
        thresholds: probability from which a label holds: one for all, or one each.
    """

    kind: Literal["multi_label"] = "multi_label"
    labels: Labels
    thresholds: Floats = (0.5,)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the head's output, without the batch."""
        return (len(self.labels),)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_twins(self.labels)
        if len(self.thresholds) not in (1, len(self.labels)):
            raise ValueError(
                f"{len(self.thresholds)} thresholds for {len(self.labels)} labels: give 1 or all"
            )
        if not all(0 <= value <= 1 for value in self.thresholds):
            raise ValueError(f"thresholds {self.thresholds} must be probabilities")
        return self


class Matching(Spec):
    """Do two modalities belong together? The head gives one logit ``[B, 1]`` (ALBEF, Li 2021).

    With a text among the two it is zero-shot as well: prompts given at run time take the
    text's place, and the softmax over their logits is the answer (CLIP, Radford 2021).

    Attributes:
        between: the two modalities.
        threshold: probability from which they match.
    """

    kind: Literal["matching"] = "matching"
    between: Annotated[tuple[Name, ...], Field(strict=False, min_length=2, max_length=2)]
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the head's output, without the batch."""
        return (1,)

    @property
    def labels(self) -> tuple[str, ...]:
        """The one label that the logit stands for."""
        return ("match",)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """As for `MultiLabel`, whose arithmetic is the same."""
        return (self.threshold,)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_twins(self.between)
        return self


class Regression(Spec):
    """One or several quantities; the head gives ``[B, len(names)]``, or ``[B]`` for one.

    Attributes:
        names: the quantities, in the order of the outputs.
        units: one each, for people to read.
        scale: the head's output times this...
        offset: ...plus this is the quantity in ``units``.
    """

    kind: Literal["regression"] = "regression"
    names: Labels
    units: Annotated[tuple[Note, ...], Field(strict=False)]
    scale: float = 1.0
    offset: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the head's output, without the batch."""
        return (len(self.names),)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_twins(self.names)
        if len(self.units) != len(self.names):
            raise ValueError(f"{len(self.units)} units for {len(self.names)} names: give one each")
        return self


class Raw(Spec):
    """A tensor as the head gives it, ``[B, *shape]``: masks, boxes, the logits of CTC.

    It is proven like every other output; what it means, the application knows. Integers and
    booleans arrive as float32.

    Attributes:
        shape: sizes without the batch.
        axes: a name for each of them, for people to read: ``("row", "column")``.
        unit: of its numbers, for people to read.
    """

    kind: Literal["raw"] = "raw"
    shape: Annotated[tuple[Length, ...], Field(strict=False, min_length=1, max_length=7)]
    axes: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    unit: Note = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if math.prod(self.shape) > MAX_NUMBERS:
            raise ValueError(
                f"shape={self.shape} holds {math.prod(self.shape)} numbers; the most is "
                f"{MAX_NUMBERS}. Reduce the tensor inside the head."
            )
        _refuse_twins(self.axes)
        if len(self.axes) not in (0, len(self.shape)):
            raise ValueError(
                f"{len(self.axes)} axes for {len(self.shape)} sizes: name each, or none"
            )
        return self


def _refuse_twins(names: tuple[str, ...]) -> None:
    twins = sorted({name for name in names if names.count(name) > 1}) if len(names) < 2000 else []
    if twins or len(set(names)) != len(names):
        raise ValueError(f"names must differ from one another; these occur twice: {twins}")
