"""The manifest of a bundle: what it holds, what it sees, what it answers.

A bundle may come from a stranger, so a manifest is parsed strictly: unknown fields,
duplicate keys, NaN, absurd sizes and names that could leave the folder are refused.
``docs/manifest.md`` describes the schema for readers of the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
    model_validator,
)
from typing_extensions import Self

from mmedge.errors import ArtefactError, IncompatibleError
from mmedge.specs import (
    Classification,
    GraphSpec,
    Matching,
    Modality,
    Name,
    Note,
    Spec,
    StateSpec,
    Task,
    TensorSpec,
    check_consecutive,
    check_states,
)
from mmedge.specs.plan import FileRef, Kept, Plan, Sha256, Speed, Tolerance

__all__ = [
    "FRONT_END",
    "FUSION",
    "PRESENCE",
    "SCHEMA",
    "TOKENS_MASK",
    "FileRef",
    "GoldenRef",
    "Kept",
    "Manifest",
    "Plan",
    "Speed",
    "Tolerance",
    "first_complaint",
    "parse_manifest",
]

SCHEMA: Literal[1] = 1
FUSION = "fusion"
"""Name of the fusion head's graph; the others are named after their modality."""
FRONT_END = "front_end"
"""Name of the value, inside an encoder's graph, that its front-end ends in."""
TOKENS_MASK = "tokens_mask"
"""Name of an encoder's second output, where it has one: which of its tokens count."""
PRESENCE = "presence"
"""Name of the fusion graph's bool ``[B, M]`` input."""
MAX_MANIFEST_BYTES = 16 * 2**20


class GoldenRef(Spec):
    """The golden samples: where they are and where they come from.

    Attributes:
        file: numpy archive, see ``mmedge.proof.golden``.
        samples: how many.
        source: ``seeded`` noise of the right shape, or the user's ``clips``.
    """

    file: FileRef
    samples: Annotated[int, Field(ge=1, le=1024)]
    source: Literal["seeded", "clips"]


class Manifest(Spec):
    """Everything that the stages share about a model.

    Attributes:
        mmedge_schema: version of this layout.
        name: the model's name.
        made_by: package -> version of what wrote the bundle.
        weights_sha256: hash over the trained parameters' names, types and bytes.
        presence: the modalities in the order of the presence input's columns.
        modalities: what each one sees.
        tasks: what the model answers; the fusion graph has one output for each.
        graphs: signature per graph: one per modality and ``fusion``.
        states: modality -> what its encoder remembers from window to window.
        plans: name -> precision and files; ``fp32`` is always there.
        tokenizers: text modality -> tokenizer file.
        golden: samples that ``verify`` repeats.
        reports: what the stages wrote about their proof.
    """

    mmedge_schema: Literal[1]
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,126}$")]
    made_by: dict[Note, Note]
    weights_sha256: Sha256
    presence: Annotated[tuple[Name, ...], Field(strict=False, min_length=1, max_length=32)]
    modalities: dict[Name, Modality]
    tasks: Annotated[dict[Name, Task], Field(min_length=1)]
    graphs: dict[Name, GraphSpec]
    states: dict[Name, Annotated[tuple[StateSpec, ...], Field(strict=False, min_length=1)]] = Field(
        default_factory=dict
    )
    plans: dict[Name, Plan]
    tokenizers: dict[Name, FileRef] = Field(default_factory=dict)
    golden: GoldenRef
    reports: dict[Name, FileRef] = Field(default_factory=dict)

    @property
    def files(self) -> Iterator[FileRef]:
        """Every file that belongs to the bundle."""
        for plan in self.plans.values():
            yield from plan.graphs.values()
        yield from self.tokenizers.values()
        yield self.golden.file
        yield from self.reports.values()

    def encoder_outputs(self, modality: str) -> dict[str, str]:
        """Output of the modality's encoder -> input of the fusion head that it feeds."""
        kept = {state.output for state in self.states.get(modality, ())}
        return {
            spec.name: f"{modality}_mask" if spec.name == TOKENS_MASK else modality
            for spec in self.graphs[modality].outputs
            if spec.name not in kept
        }

    def encoder_inputs(self, modality: str) -> tuple[TensorSpec, ...]:
        """What a window is prepared into: the graph's inputs without its states."""
        held = {state.input for state in self.states.get(modality, ())}
        return tuple(spec for spec in self.graphs[modality].inputs if spec.name not in held)

    @model_serializer(mode="wrap")
    def _leave_out(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Where nothing is remembered, nothing is said of it."""
        fields: dict[str, Any] = dump(self)
        if not self.states:
            fields.pop("states", None)
        return fields

    @model_validator(mode="after")
    def _check_states(self) -> Self:
        if not set(self.states) <= set(self.modalities) & set(self.graphs):
            raise ValueError(f"states of {sorted(self.states)}, which are not all encoders")
        for name, states in self.states.items():
            check_states(self.graphs[name], states)
        check_consecutive(self.modalities, list(self.states))
        return self

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = set(self.modalities)
        if set(self.presence) != names or len(self.presence) != len(names):
            raise ValueError(f"presence {self.presence} must name each of {sorted(names)} once")
        _same("graphs", set(self.graphs), names | {FUSION})
        _same("tokenizers", set(self.tokenizers), {n for n in names if self._is_text(n)})
        if "fp32" not in self.plans or self.plans["fp32"].precision != "fp32":
            raise ValueError("plans lacks 'fp32' in float32, the reference of all others")
        for name, plan in self.plans.items():
            _same(f"plans.{name}.graphs", set(plan.graphs), set(self.graphs))
        fused = [name for each in self.presence for name in self.encoder_outputs(each).values()]
        _same("inputs of fusion", {i.name for i in self.graphs[FUSION].inputs}, {*fused, PRESENCE})
        _same("outputs of fusion", {o.name for o in self.graphs[FUSION].outputs}, set(self.tasks))
        for output in self.graphs[FUSION].outputs:
            shape = ("batch", *self.tasks[output.name].shape)
            if output.shape != shape:
                raise ValueError(f"output {output.name} has {output.shape}, its task {shape}")
        for name, task in self.tasks.items():
            if isinstance(task, Matching) and not set(task.between) <= names:
                raise ValueError(f"tasks.{name} is between {task.between}, which are not all there")
        by_name: dict[str, FileRef] = {}
        for ref in self.files:
            if ref.name == "manifest.json":
                raise ValueError("a file cannot be called manifest.json")
            if by_name.setdefault(ref.name, ref) != ref:
                raise ValueError(f"file {ref.name} is named twice with different contents")
        return self

    @model_validator(mode="after")
    def _check_temperatures(self) -> Self:
        for name, plan in self.plans.items():
            for task, table in plan.temperatures.items():
                if not isinstance(self.tasks.get(task), Classification):
                    raise ValueError(
                        f"plans.{name}.temperatures.{task}: there is no such classification"
                    )
                for subset in table:
                    if not set(subset.split("+")) <= set(self.modalities):
                        raise ValueError(
                            f"plans.{name}.temperatures.{task}: {subset!r} are not modalities"
                        )
        return self

    def _is_text(self, name: str) -> bool:
        return self.modalities[name].kind == "text"


def parse_manifest(data: bytes) -> Manifest:
    """Parse the bytes of a ``manifest.json``.

    Raises:
        ArtefactError: not a manifest, or one that breaks a rule; the message names it.
        IncompatibleError: written by a newer mmedge.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise ArtefactError(
            f"manifest.json has {len(data)} bytes; the most that is read is {MAX_MANIFEST_BYTES}"
        )
    try:
        fields = json.loads(data, object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise ArtefactError(f"manifest.json is not valid JSON: {exc}. Export it again.") from exc
    version = fields.get("mmedge_schema") if isinstance(fields, dict) else None
    if type(version) is not int or version < 1:
        raise ArtefactError(
            f"manifest.json breaks the schema: mmedge_schema is {version!r}, not a version number. "
            "Was it written by 'mmedge export'? Export the model again."
        )
    if version > SCHEMA:
        raise IncompatibleError(
            f"the bundle has schema {version}, this mmedge reads up to {SCHEMA}. "
            "Upgrade mmedge, or export the model again with this version."
        )
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as exc:
        raise ArtefactError(
            f"manifest.json breaks the schema: {first_complaint(exc)}. Export the model again."
        ) from exc


def first_complaint(exc: ValidationError) -> str:
    """Put the first finding of a failed validation into one line."""
    finding = exc.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in finding["loc"])
    came = finding["input"]
    shown = "" if isinstance(came, (dict, list)) or finding["type"] == "missing" else f" ({came!r})"
    more = f" ({exc.error_count() - 1} more)" if exc.error_count() > 1 else ""
    text = finding["msg"].removeprefix("Value error, ")
    return f"{where}{shown[:80]}: {text}{more}" if where else f"{text}{more}"


def _same(what: str, came: set[str], expected: set[str]) -> None:
    if came != expected:
        raise ValueError(f"{what} must be {sorted(expected)}, not {sorted(came)}")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twin!r} stands twice in one object")
    return fields


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number in JSON")
