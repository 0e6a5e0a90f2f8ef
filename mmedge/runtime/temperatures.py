"""How sure a plan may be with each subset of modalities: what its logits are divided by.

With fewer modalities a model is not only less often right, it is sure of itself in another
way; so is the same model in another precision. A plan may therefore hold a temperature for
each subset (fitted as by Guo et al. 2017, see `mmedge.proof.temperatures`). Only
classifications have them: the thresholds of the other tasks were chosen for their logits as
trained, and with another temperature other labels would hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mmedge.specs import Classification, Task

__all__ = ["Temperatures", "row_name"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def row_name(names: Sequence[str], row: Sequence[bool] | Bools) -> str:
    """Write a subset for people: ``camera+mic``, or ``nothing``."""
    return "+".join(name for name, here in zip(names, row, strict=True) if here) or "nothing"


class Temperatures:
    """A plan's temperatures, by presence rows.

    Args:
        names: the modalities in the order of presence.
        table: task -> name of a subset -> temperature.
    """

    def __init__(self, names: Sequence[str], table: Mapping[str, Mapping[str, float]]) -> None:
        self._names = tuple(names)
        self._table = {task: dict(each) for task, each in table.items() if each}
        self._known: dict[tuple[str, bytes], float | None] = {}

    def of(self, name: str, task: Task, presence: Bools) -> Floats | None:
        """Give what the logits of some rows are divided by.

        A subset that the plan does not name has the task's own temperature.

        Args:
            name: the task's.
            task: what it is.
            presence: bool ``[N, M]``.

        Returns:
            ``[N, 1]``; ``None`` where the task's own temperature holds for all rows.
        """
        if name not in self._table or not isinstance(task, Classification):
            return None
        found = [self._look_up(name, row) for row in presence]
        own = [task.temperature if each is None else each for each in found]
        return np.array(own, np.float64)[:, None]

    def _look_up(self, name: str, row: Bools) -> float | None:
        key = (name, row.tobytes())
        if key not in self._known:
            self._known[key] = self._table[name].get(row_name(self._names, row))
        return self._known[key]
