"""Plans: the graphs of a bundle in one precision for one target, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer

from mmedge.errors import ConfigError
from mmedge.specs.base import Name, Note, Spec

__all__ = ["FileRef", "Kept", "Plan", "Sha256", "Speed", "Tolerance", "lowest_plan", "plan_named"]

MAX_FILE_BYTES = 2 * 2**30

FileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-zA-Z0-9._-]{0,126}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class FileRef(Spec):
    """A file of the bundle, named with a part of its content's hash."""

    name: FileName
    sha256: Sha256
    bytes: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]


class Tolerance(Spec):
    """Two numbers agree when ``|a - r| <= absolute + relative * |r|``; ``r`` is the reference."""

    absolute: Annotated[float, Field(ge=0)]
    relative: Annotated[float, Field(ge=0)]


class Kept(Spec):
    """A layer that a plan leaves in a higher precision than its name says, and why."""

    layer: Note
    precision: Literal["fp32", "fp16"]
    why: Note


class Speed(Spec):
    """A plan's latency over that of ``fp32``, measured side by side on one machine."""

    machine: Note
    threads: Annotated[int, Field(ge=1)]
    ratio: Annotated[float, Field(gt=0)]


class Plan(Spec):
    """A precision for a target: one file per graph.

    Attributes:
        precision: what the graphs compute in.
        target: what they were made for; ``any`` for plain float32.
        graphs: graph name -> file.
        tolerances: class of backend -> how far it may be from the trained model.
        int8: graph name -> the layers (nodes of the ``fp32`` graph) that compute in INT8.
        kept: graph name -> the layers that could not be lowered as far as the plan's precision.
        instructions: what a CPU must have to compute these graphs right, such as ``vnni``.
        speeds: where it was measured, and how fast it was there.
        temperatures: task -> subset of modalities, such as ``camera+mic`` -> what the logits
            are divided by, in place of the task's own temperature.
        waived: what was not proven and accepted all the same; empty if all was.
    """

    precision: Literal["fp32", "fp16", "int8", "mixed"]
    target: Literal["any", "cpu", "tensorrt"]
    graphs: dict[Name, FileRef]
    tolerances: dict[Literal["cpu", "gpu"], Tolerance]
    int8: dict[Name, Annotated[tuple[Note, ...], Field(strict=False)]] = Field(default_factory=dict)
    kept: dict[Name, Annotated[tuple[Kept, ...], Field(strict=False)]] = Field(default_factory=dict)
    instructions: Annotated[tuple[Note, ...], Field(strict=False)] = ()
    speeds: Annotated[tuple[Speed, ...], Field(strict=False)] = ()
    temperatures: dict[Name, dict[Note, Annotated[float, Field(gt=0)]]] = Field(
        default_factory=dict
    )
    waived: str = ""

    @model_serializer(mode="wrap")
    def _leave_out(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What a plan has nothing to say of is not said."""
        fields: dict[str, Any] = dump(self)
        needed = ("precision", "target", "graphs", "tolerances")
        return {name: value for name, value in fields.items() if value or name in needed}


def plan_named(plans: Mapping[str, Plan], name: str) -> Plan:
    """Give a bundle's plan.

    Raises:
        ConfigError: it has no such plan.
    """
    if name not in plans:
        raise ConfigError(f"the bundle has no plan {name!r}; it has {', '.join(plans)}")
    return plans[name]


def lowest_plan(plans: Mapping[str, Plan], target: str) -> str | None:
    """Give the plan for a target that computes in the fewest bits; ``None`` if there is none."""
    bits = ("int8", "mixed", "fp16")
    made = {
        name: bits.index(plan.precision)
        for name, plan in plans.items()
        if plan.precision in bits and plan.target == target
    }
    return min(made, key=lambda name: made[name], default=None)
