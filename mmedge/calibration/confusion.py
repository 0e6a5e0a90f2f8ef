"""Which label is taken for which, by float32 and by a plan, on the same samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNKNOWN", "Confusion", "confuse"]

UNKNOWN = -1
"""Stands for the truth where a sample has no label."""
_COLUMNS = ("truth", "fp32", "plan")


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """How often each combination of truth and answers occurs.

    Attributes:
        labels: of the task, in the order of the logits.
        counts: truth (or `UNKNOWN`), float32's answer, the plan's answer, each as an index
            of ``labels``, and how many samples; only what occurs.
    """

    labels: tuple[str, ...]
    counts: tuple[tuple[int, int, int, int], ...]

    @property
    def labelled(self) -> bool:
        """Whether the samples had labels."""
        return any(truth != UNKNOWN for truth, *_ in self.counts)

    def table(self, row: Literal["truth", "fp32"], column: Literal["fp32", "plan"]) -> NDArray[Any]:
        """Count pairs: int64 ``[labels, labels]``."""
        first, second = _COLUMNS.index(row), _COLUMNS.index(column)
        table = np.zeros((len(self.labels), len(self.labels)), np.int64)
        for each in self.counts:
            if each[first] != UNKNOWN:
                table[each[first], each[second]] += each[3]
        return table

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        return {
            "labels": list(self.labels),
            "columns": [*_COLUMNS, "samples"],
            "counts": [list(each) for each in self.counts],
        }


def confuse(
    labels: tuple[str, ...],
    reference: NDArray[np.generic],
    outputs: NDArray[np.generic],
    truths: NDArray[np.generic] | None,
) -> Confusion:
    """Count who answered what.

    Args:
        labels: of the task.
        reference: logits of float32, ``[N, labels]``.
        outputs: of the plan, on the same samples.
        truths: indices of labels, ``[N]``; ``None`` without labels.
    """
    known = np.full(len(outputs), UNKNOWN) if truths is None else truths.astype(np.int64)
    answers = np.stack([known, reference.argmax(axis=1), outputs.argmax(axis=1)], axis=1)
    kinds, counts = np.unique(answers, axis=0, return_counts=True)
    return Confusion(
        labels=labels,
        counts=tuple(
            (int(a), int(b), int(c), int(n)) for (a, b, c), n in zip(kinds, counts, strict=True)
        ),
    )
