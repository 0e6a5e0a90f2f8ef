"""One encoder before it is lowered: made easier to round, its layers found, its values watched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mmedge.calibration.channels import ChannelObserver
from mmedge.calibration.config import Target
from mmedge.calibration.graph import Graph
from mmedge.calibration.histogram import Histogram
from mmedge.calibration.layers import KINDS, Layer, find_layers, moving_values
from mmedge.calibration.lowering import Range
from mmedge.calibration.observing import Observer, left_out
from mmedge.calibration.ranges import Method, find_range
from mmedge.calibration.rewrite.easing import channel_axes, ease
from mmedge.calibration.rewrite.fp16 import values_to_observe
from mmedge.calibration.rewrite.integers import joined_values
from mmedge.calibration.rewrite.migrated import Migrated
from mmedge.calibration.rewrite.patterns import attentions
from mmedge.calibration.rewrite.smoothing import migrate
from mmedge.calibration.sensitivity import Unit, units_of
from mmedge.runtime.backends import Arrays

__all__ = ["Feeds", "Material", "prepare_material"]

Feeds = Callable[[], Iterable[Arrays]]
"""Walks through the range samples: graph input -> ``[B, ...]``, states included."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """One encoder, ready to be lowered for one target.

    Attributes:
        name: its modality.
        original: its float32 graph in the bundle.
        model: the same, made easier to round.
        example: one input of it, ``[1, ...]`` each.
        layers: what multiplies and accumulates behind the front-end.
        histograms: value of ``model`` -> how its numbers are distributed.
        means: value of ``model`` -> mean of each channel.
    """

    name: str
    original: bytes
    model: bytes
    example: Arrays
    layers: tuple[Layer, ...]
    histograms: Mapping[str, Histogram]
    means: Mapping[str, NDArray[np.float32]]
    _ranges: dict[tuple[Method, bool], dict[str, Range]] = field(default_factory=dict)

    @property
    def lowerable(self) -> tuple[Layer, ...]:
        """The layers that some rewrite can lower to INT8."""
        return tuple(
            layer for layer in self.layers if layer.kind in KINDS and layer.name not in self.unfit
        )

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Value -> the numbers of it that no range is made from: NaN, infinite, masks."""
        return left_out(self.histograms)

    @cached_property
    def unfit(self) -> dict[str, str]:
        """Layer that takes such numbers, which INT8 has not -> what it takes."""
        return {
            layer.name: f"takes {self.left_out[value]}"
            for layer in self.layers
            for value in layer.activations
            if value in self.left_out
        }

    @cached_property
    def seen(self) -> dict[str, Range]:
        """Value -> the finite extremes that were observed."""
        return {name: each.extremes for name, each in self.histograms.items()}

    def units(self, layers: Collection[str]) -> tuple[Unit, ...]:
        """Cut some of the layers into what is lowered or restored together."""
        graph = Graph(self.model)
        chosen = [layer for layer in self.lowerable if layer.name in layers]
        return units_of(self.name, chosen, attentions(graph, moving_values(graph)))

    def ranges(self, method: Method, *, symmetric: bool) -> dict[str, Range]:
        """Choose a range for every value that had finite numbers, for 8 bits."""
        key = (method, symmetric)
        if key not in self._ranges:
            self._ranges[key] = {
                name: find_range(each, method, symmetric=symmetric, levels=256 - symmetric)
                for name, each in self.histograms.items()
                if each.total
            }
        return self._ranges[key]


def prepare_material(name: str, model: bytes, feeds: Feeds, target: Target) -> Material:
    """Watch an encoder over the range samples, twice: its channels, then all its values.

    Args:
        name: the modality.
        model: its float32 graph.
        feeds: walks through the samples; called twice.
        target: what it is prepared for.
    """
    eased = _ease(model, feeds, target)
    graph = Graph(eased.model)
    layers = find_layers(graph)
    taken = [value for layer in layers for value in (*layer.activations, layer.output)]
    values = dict.fromkeys([*taken, *joined_values(graph)])
    if target == "tensorrt":
        values |= dict.fromkeys(values_to_observe(eased.model))
    observer = Observer(eased.model, values)
    example: Arrays = {}
    for each in feeds():
        example = example or {key: array[:1] for key, array in each.items()}
        observer.add(each)
    return Material(
        name=name,
        original=model,
        model=eased.model,
        example=example,
        layers=layers,
        histograms=observer.histograms,
        means={value: seen.mean for value, seen in eased.channels.items()},
    )


def _ease(model: bytes, feeds: Feeds, target: Target) -> Migrated:
    """Make a graph easier to round; centring is for scales that are symmetric."""
    watcher = ChannelObserver(model, channel_axes(model))
    for each in feeds():
        watcher.add(each)
    if target == "tensorrt":
        return ease(model, watcher.channels)
    migrated = migrate(model, watcher.channels)
    return Migrated(model=migrated.model, channels={**watcher.channels, **migrated.channels})
