"""Which layers cost most: each is lowered alone, and the answers are compared.

The noise of a layer is measured at the end, in what the fused model answers, so that layers
of different encoders can be compared (Dong et al. 2019, "HAWQ", orders layers by the Hessian
instead; here the model itself is asked, which needs no gradients).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from mmedge.calibration.layers import Layer

__all__ = ["Unit", "measure", "noise_of", "ordered", "units_of"]

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Layers of one encoder that are lowered or restored together.

    Attributes:
        modality: whose encoder.
        layers: names, neighbours in the graph.
        macs: multiply-accumulates for one sample.
        noise: what lowering them alone does to the answers, as `noise_of`; ``nan`` where it
            was not measured.
    """

    modality: str
    layers: tuple[str, ...]
    macs: int
    noise: float = float("nan")

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Modality and name of each layer."""
        return tuple((self.modality, name) for name in self.layers)


def units_of(
    modality: str,
    layers: Sequence[Layer],
    together: Iterable[frozenset[str]] = (),
    most: int = 64,
) -> tuple[Unit, ...]:
    """Cut an encoder into units: a layer each if it can be, else runs of neighbours.

    Args:
        modality: whose encoder.
        layers: in the order of the graph.
        together: names of layers that no unit may part, such as the products of an attention.
        most: units, about.
    """
    owner = {name: min(group) for group in together for name in group}
    groups: dict[str, list[Layer]] = {}
    for layer in layers:
        groups.setdefault(owner.get(layer.name, layer.name), []).append(layer)
    size = -(-len(groups) // max(1, most)) or 1
    each = list(groups.values())
    runs = [list(chain(*each[begin : begin + size])) for begin in range(0, len(each), size)]
    return tuple(
        Unit(
            modality=modality,
            layers=tuple(layer.name for layer in run),
            macs=sum(layer.macs for layer in run),
        )
        for run in runs
    )


def noise_of(reference: Mapping[str, Array], answers: Mapping[str, Array]) -> float:
    """Energy of the difference over that of the reference about its mean, over all tasks.

    The inverse of the signal to quantisation noise ratio: 0.01 is 20 dB. What every sample
    is answered alike carries no information and does not count as signal.

    Args:
        reference: task -> ``[N, ...]`` of the float32 plan.
        answers: task -> ``[N, ...]`` of another plan.
    """
    shares = []
    for task, wanted in reference.items():
        signal = wanted.astype(np.float64)
        error = answers[task].astype(np.float64) - signal
        energy = float(np.square(signal - signal.mean(axis=0)).sum())
        shares.append(float(np.square(error).sum()) / max(energy, 1e-30))
    return float(np.mean(shares))


def ordered(units: Iterable[Unit]) -> list[Unit]:
    """Put first what is to be restored first: most noise for each multiply-accumulate kept.

    What was not measured comes last.
    """
    return sorted(
        units,
        key=lambda unit: -(unit.noise / max(1, unit.macs)) if unit.noise == unit.noise else np.inf,
    )


def measure(
    units: Iterable[Unit], noise: Callable[[Unit], float], late: Callable[[], bool]
) -> list[Unit]:
    """Measure the noise of units while there is time.

    Args:
        units: what to measure.
        noise: lowers one alone and gives its noise.
        late: whether the time is up.
    """
    return [unit if late() else replace(unit, noise=noise(unit)) for unit in units]
