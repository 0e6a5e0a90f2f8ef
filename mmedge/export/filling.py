"""Trained weights into the recipe's networks, ready to be run and exported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmedge.errors import ConfigError
from mmedge.export.recipe import Recipe
from mmedge.export.weights import check_finite, load_weights, refuse_lazy
from mmedge.manifest import FUSION

__all__ = ["fill"]


def fill(recipe: Recipe, weights: Sequence[str]) -> list[str]:
    """Load weights files into a recipe's networks, and make those ready to run.

    Args:
        recipe: its networks are changed in place: float32, on the CPU, in eval mode.
        weights: ``FILE`` for the whole model, ``NAME=FILE`` for one of its parts.

    Returns:
        Sentences about what was done, and what no file reached.

    Raises:
        ConfigError: a part that the recipe does not have, or a lazy module.
        ArtefactError: a file that is damaged, unsafe or another model's; NaN in the weights.
    """
    parts = recipe.parts()
    everything = {**parts, **recipe.front_ends()}
    left = {n: part for n, part in everything.items() if any(True for _ in part.parameters())}
    notes = []
    for each in weights:
        name, equals, path = each.partition("=")
        if not equals or Path(each).is_file():  # runs/lr=0.1/model.pt
            whole = recipe.trained()
            notes += load_weights(whole, Path(each))
            inside = {id(weight) for weight in whole.parameters()}
            left = {n: p for n, p in left.items() if not inside >= set(map(id, p.parameters()))}
        elif name in parts:
            notes += load_weights(parts[name], Path(path))
            left.pop(name, None)
        else:
            raise ConfigError(
                f"--weights {each}: {name!r} is neither {FUSION!r} nor one of the encoders "
                f"{sorted(recipe.encoders)}"
            )
    if not weights:
        notes.append("no weights file was given: the weights are those that the recipe set")
    elif left:
        notes.append(f"no weights file reached {', '.join(left)}: left as the recipe gave it")
    networks = recipe.networks()
    refuse_lazy(networks)
    kinds = {str(p.dtype)[6:] for p in networks.parameters() if p.is_floating_point()} - {"float32"}
    if kinds:
        notes.append(f"weights in {', '.join(sorted(kinds))} were converted to float32")
    networks.float().cpu().eval().requires_grad_(False)
    check_finite(networks)
    return notes
