"""The recipe: the user's Python function that says what the model is made of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor, nn

from mmedge.errors import ConfigError
from mmedge.export.calling import HeadCall
from mmedge.export.imported.file import OnnxFile
from mmedge.export.state import CONTEXT, State, context_state
from mmedge.manifest import FUSION, PRESENCE
from mmedge.specs import (
    NAME_PATTERN,
    Classification,
    Image,
    Matching,
    Modality,
    MultiLabel,
    Raw,
    Regression,
    Signal,
    Sound,
    Task,
    Text,
    check_consecutive,
)

__all__ = ["Encoder", "Fusion", "Recipe"]

MODEL_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}"
"""What the manifest takes as a name."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """The network of one modality, and which of its outputs counts.

    Attributes:
        module: called with what the front-end gives: float32 ``[B, C, H, W]`` for an
            image, the log-mel or ``[B, samples]`` for sound, ``(ids, mask)`` for text (or
            ``ids`` alone where the module takes one argument). An `OnnxFile` stands for an
            encoder that is no torch module.
        front_end: the user's own module in place of the one that the modality's
            specification describes. It is called with the graph's raw input.
        output: key, attribute or index of the embedding ``[B, D]`` or tokens ``[B, T, D]``
            where the module returns several tensors.
        mask: key, attribute or index of a ``[B, T]`` mask of the tokens, if there is one.
        state: what the encoder remembers from window to window.
        context: samples of the window before that stand before each window, zeros at the
            beginning; front-end and module see both.
    """

    module: nn.Module
    front_end: nn.Module | None = None
    output: str | int | None = None
    mask: str | int | None = None
    state: tuple[State, ...] = ()
    context: int = 0

    def __post_init__(self) -> None:
        _check_types("Encoder", {"module": self.module}, (nn.Module,))
        _check_types("Encoder state", dict(enumerate(self.state)), (State,))
        names = [each.name for each in self.state] + ([CONTEXT] if self.context else [])
        if len(set(names)) != len(names):
            raise ConfigError(f"Encoder(state=...) names {sorted(names)}: each name only once")
        if self.context < 0:
            raise ConfigError(f"Encoder(context={self.context}) must be a number of samples")
        if self.front_end is not None:
            _check_types("Encoder", {"front_end": self.front_end}, (nn.Module,))

    def remembers(self, modality: Modality) -> tuple[State, ...]:
        """Give everything that goes from window to window, the context first."""
        if not self.context:
            return self.state
        if not isinstance(modality, (Sound, Signal)):
            raise ConfigError("Encoder(context=...) is for a sound or a signal")
        return (context_state(self.context, modality), *self.state)


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """The fusion head, and what it is given for a modality that is absent.

    A head whose ``forward`` has a parameter ``presence`` (bool ``[B, M]``, in the order of
    the recipe's modalities) handles absence itself and sees zeros in absent slots. Any
    other was trained without it and needs ``absent``.

    Attributes:
        module: called with the modalities' embeddings: by keyword where its parameters
            are named after them, as one mapping where it takes a single argument, else by
            position.
        absent: ``"mean"`` puts the mean embedding over the samples into absent slots; a
            mapping gives a tensor ``[D]`` or ``[T, D]`` per modality.
        call: says how the module is called where its signature does not:
            ``"keywords"``, ``"mapping"``, ``"sequence"`` or ``"positional"``.
    """

    module: nn.Module
    absent: Literal["mean"] | Mapping[str, Tensor] | None = None
    call: HeadCall | None = None

    def __post_init__(self) -> None:
        if self.call is not None and self.call not in get_args(HeadCall):
            raise ConfigError(
                f"Fusion(call={self.call!r}): choose one of {', '.join(get_args(HeadCall))}"
            )
        _check_types("Fusion", {"module": self.module}, (nn.Module,))
        if isinstance(self.absent, Mapping):
            _check_types("absent", self.absent, (Tensor,))
        elif self.absent not in (None, "mean"):
            raise ConfigError(
                f"Fusion(absent={self.absent!r}): give 'mean', or a tensor for each modality"
            )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What ``mmedge export`` needs to know of a trained model.

    Attributes:
        modalities: name -> what it sees; the order is that of ``presence``.
        encoders: the same names -> networks.
        fusion: the head that joins the embeddings.
        tasks: name -> what the head's output of that name means. A head with one tensor
            as output serves one task; a tuple serves the tasks in order.
        model: the whole model, whose ``state_dict`` the weights file holds. Without it the
            file is expected to hold ``encoders.NAME.*`` and ``fusion.*``.
        name: the bundle's name for people; by default that of the output folder.
        folder: what relative paths in the recipe are relative to; set by `load_recipe`.
    """

    modalities: Mapping[str, Modality]
    encoders: Mapping[str, nn.Module | Encoder]
    fusion: nn.Module | Fusion
    tasks: Mapping[str, Task]
    model: nn.Module | None = None
    name: str | None = None
    folder: Path = field(default_factory=Path.cwd)

    def __post_init__(self) -> None:
        if self.name is not None and not re.fullmatch(MODEL_NAME, self.name):
            raise ConfigError(f"name {self.name!r}: use letters, digits, '.', '_' and '-'")
        _check_names(self.modalities, self.tasks)
        _check_types("modalities", self.modalities, (Image, Sound, Text, Signal))
        _check_types("tasks", self.tasks, (Classification, MultiLabel, Regression, Matching, Raw))
        _check_types("encoders", self.encoders, (nn.Module, Encoder))
        if not isinstance(self.fusion, (nn.Module, Fusion)):
            raise ConfigError(
                f"fusion is a {type(self.fusion).__name__}; give a torch.nn.Module, or "
                "mmedge.export.Fusion(module=...)"
            )
        for name, task in self.tasks.items():
            if isinstance(task, Matching) and not set(task.between) <= set(self.modalities):
                raise ConfigError(
                    f"task {name!r} is between {' and '.join(task.between)}, but the "
                    f"modalities are {', '.join(self.modalities)}"
                )
        if set(self.encoders) != set(self.modalities):
            raise ConfigError(
                f"encoders are given for {sorted(self.encoders)} but the modalities are "
                f"{sorted(self.modalities)}; each modality needs one encoder of its name"
            )

        try:
            check_consecutive(self.modalities, [n for n in self.encoders if self.states(n)])
        except ValueError as exc:
            raise ConfigError(str(exc)) from exc

    def encoder(self, name: str) -> Encoder:
        """Give the encoder of a modality in its long form."""
        encoder = self.encoders[name]
        return encoder if isinstance(encoder, Encoder) else Encoder(module=encoder)

    def states(self, name: str) -> tuple[State, ...]:
        """Give what the encoder of a modality remembers."""
        return self.encoder(name).remembers(self.modalities[name])

    @property
    def head(self) -> Fusion:
        """The fusion head in its long form."""
        return self.fusion if isinstance(self.fusion, Fusion) else Fusion(module=self.fusion)

    def open_files(self) -> None:
        """Read the encoders that are ONNX files; their paths are relative to the folder."""
        for name in self.encoders:
            module = self.encoder(name).module
            if isinstance(module, OnnxFile):
                module.open(self.folder)

    def parts(self) -> dict[str, nn.Module]:
        """Give the networks that can have a weights file of their own, by name."""
        encoders = {name: self.encoder(name).module for name in self.encoders}
        return {**encoders, FUSION: self.head.module}

    def front_ends(self) -> dict[str, nn.Module]:
        """Give the user's own front-ends, by name."""
        own = {name: self.encoder(name).front_end for name in self.encoders}
        return {f"the front-end of {name}": each for name, each in own.items() if each is not None}

    def networks(self) -> nn.Module:
        """Give everything that the bundle's numbers rest on, front-ends included."""
        parts = {f"part_{name}": part for name, part in self.parts().items()}
        own = {name.replace(" ", "_"): each for name, each in self.front_ends().items()}
        return nn.ModuleDict({**parts, **own})

    def trained(self) -> nn.Module:
        """Give the module that the weights belong to."""
        if self.model is not None:
            return self.model
        try:
            encoders = nn.ModuleDict({name: self.encoder(name).module for name in self.encoders})
        except KeyError as exc:  # such as 'type', 'values', 'train'
            raise ConfigError(
                f"torch keeps a name for itself ({exc.args[0]}): rename that modality, or give "
                "Recipe(model=...)"
            ) from exc
        return nn.ModuleDict({"encoders": encoders, FUSION: self.head.module})


def _check_names(modalities: Mapping[str, object], tasks: Mapping[str, object]) -> None:
    for what, names in (("modality", modalities), ("task", tasks)):
        if not names:
            raise ConfigError(f"the recipe names no {what}; at least one is needed")
        bad = [name for name in names if not re.fullmatch(NAME_PATTERN, name)]
        if bad:
            raise ConfigError(
                f"{what} name {bad[0]!r}: use lower-case letters, digits and _, a letter first"
            )
    for name in modalities:
        if name in (FUSION, PRESENCE) or name.endswith("_mask"):
            raise ConfigError(
                f"a modality cannot be called {name!r}: mmedge uses that name itself; rename it"
            )
    for name in tasks:
        if name == PRESENCE or name.removesuffix("_mask") in modalities:
            raise ConfigError(
                f"a task cannot be called {name!r}: the fusion head's graph has an input of that "
                "name; rename it"
            )


def _check_types(what: str, items: Mapping[Any, object], kinds: tuple[type, ...]) -> None:
    for name, item in items.items():
        if not isinstance(item, kinds):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise ConfigError(
                f"{what}[{name!r}] is a {type(item).__name__}, but {expected} was expected"
            )
