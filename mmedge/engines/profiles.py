"""Optimisation profiles: which shapes an engine takes, checked before TensorRT sees them.

``IOptimizationProfile.set_shape`` takes unknown names and a least shape above the largest; the
failure comes minutes later, from the compiler, in words about its own nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmedge.errors import ConfigError
from mmedge.manifest import FUSION, Manifest
from mmedge.specs import GraphSpec
from mmedge.specs.presence import explanation_rows

__all__ = ["MAX_BATCH", "Profile", "Shapes", "check_profile", "make_profiles"]

MAX_BATCH = 8
"""Rows of one run of an encoder, at most, unless asked otherwise; more are run in pieces."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """The shapes of one input: the least, the one that is tuned for, the largest."""

    min: Shape
    opt: Shape
    max: Shape

    def __post_init__(self) -> None:
        ranks = {len(self.min), len(self.opt), len(self.max)}
        fits = len(ranks) == 1 and all(
            1 <= low <= mid <= high
            for low, mid, high in zip(self.min, self.opt, self.max, strict=True)
        )
        if not fits:
            raise ConfigError(
                f"a profile's shapes must ascend from min over opt to max, and begin at 1; these "
                f"are min={self.min}, opt={self.opt}, max={self.max}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one engine takes: the shapes of each input of its graph, by name."""

    inputs: Mapping[str, Shapes]

    def to_json(self) -> dict[str, Any]:
        """Give plain types, in a fixed order: engines are kept under it."""
        return {
            name: [list(shapes.min), list(shapes.opt), list(shapes.max)]
            for name, shapes in sorted(self.inputs.items())
        }


def make_profiles(manifest: Manifest, *, max_batch: int = MAX_BATCH) -> dict[str, Profile]:
    """Give the profile of every graph.

    An encoder is tuned for one window at a time, the fusion head for the rows that explain one
    answer, with room for ``max_batch`` either way.

    Args:
        manifest: the bundle's.
        max_batch: rows that one run takes, at most.

    Raises:
        ConfigError: ``max_batch`` is below 1.
    """
    if max_batch < 1:
        raise ConfigError(f"max_batch={max_batch} must be at least 1")
    rows = explanation_rows(len(manifest.presence))
    profiles = {}
    for name, spec in manifest.graphs.items():
        tuned = rows if name == FUSION else 1
        profiles[name] = _profile(spec, opt=tuned, largest=max(tuned, max_batch))
    return profiles


def check_profile(what: str, profile: Profile, inputs: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a profile that does not fit a graph.

    Args:
        what: the graph, for error messages.
        profile: what is to be checked.
        inputs: the graph's inputs as a parser reads them: name -> shape, -1 where it may vary.

    Raises:
        ConfigError: an input has no shapes, shapes are for an input that is not there, or a
            size that the graph fixes differs.
    """
    if missing := sorted(set(inputs) - set(profile.inputs)):
        raise ConfigError(f"{what}: the profile has no shapes for the input {missing[0]!r}")
    if unknown := sorted(set(profile.inputs) - set(inputs)):
        raise ConfigError(
            f"{what}: the profile has shapes for {unknown[0]!r}, and the graph's inputs are "
            f"{', '.join(sorted(inputs))}"
        )
    for name, shape in inputs.items():
        shapes = profile.inputs[name]
        for given in (shapes.min, shapes.opt, shapes.max):
            if len(given) != len(shape) or any(
                fixed not in (-1, size) for fixed, size in zip(shape, given, strict=True)
            ):
                raise ConfigError(
                    f"{what}: the profile gives the input {name!r} the shape {given}, and the "
                    f"graph takes {tuple(shape)}, where -1 may be any size"
                )


def _profile(spec: GraphSpec, *, opt: int, largest: int) -> Profile:
    return Profile(
        inputs={
            each.name: Shapes(
                min=_sized(each.shape, 1),
                opt=_sized(each.shape, opt),
                max=_sized(each.shape, largest),
            )
            for each in spec.inputs
        }
    )


def _sized(shape: tuple[int | str, ...], batch: int) -> Shape:
    return tuple(size if isinstance(size, int) else batch for size in shape)
