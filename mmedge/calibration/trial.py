"""Trials: what a candidate loses against float32 on samples its ranges were not made from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmedge.calibration.candidate import Candidate
from mmedge.calibration.confusion import Confusion
from mmedge.proof.paired import Drop, least_bound

__all__ = ["SUBSETS", "Trial", "clips_to_judge"]

SUBSETS = 2
"""How many times the limit a subset of the modalities may lose."""


def clips_to_judge(max_drop: float) -> int:
    """Give how many clips a subset takes, so that one alone is no more than it may lose."""
    return math.ceil(100 / (SUBSETS * max_drop))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a candidate loses against float32 on the same samples.

    Attributes:
        candidate: what was tried.
        drops: task -> what its metric loses with everything present that a sample has; empty
            where the candidate answered with what is no number.
        subsets: subset of modalities -> task -> the same with only those present, where the
            clips suffice (`clips_to_judge`); without bounds, which are for what is promised.
        int8: modality -> layers in INT8.
        share: of the encoders' multiply-accumulates that are INT8, 0..1.
        max_drop: points that ``drops`` may have in their bounds; ``subsets`` may have
            `SUBSETS` times as many in their values.
        proven: whether a plan has to be proven; else it may be accepted for what was seen.
        unjudged: subset -> task -> how many clips there are, where they are too few.
        confusions: classification -> who answered what, with everything present.
        ratio: time of all graphs over float32's, on this CPU; ``None`` for another target.
    """

    candidate: Candidate
    drops: Mapping[str, Drop]
    subsets: Mapping[str, Mapping[str, float]]
    int8: Mapping[str, tuple[str, ...]]
    share: float
    max_drop: float
    proven: bool = True
    unjudged: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    confusions: Mapping[str, Confusion] = field(default_factory=dict)
    ratio: float | None = None

    @property
    def worst_bound(self) -> float:
        """The largest upper bound of a task's drop, in points."""
        return max((drop.bound for drop in self.drops.values()), default=math.inf)

    @property
    def worst_value(self) -> float:
        """The largest drop of a task, in points."""
        return max((drop.value for drop in self.drops.values()), default=math.inf)

    @property
    def worst_subset(self) -> float:
        """The largest drop of a task in any subset, in points."""
        return max((v for each in self.subsets.values() for v in each.values()), default=0.0)

    @property
    def within(self) -> bool:
        """Whether the drops that were seen are within the limits, proven or not."""
        return self.worst_value <= self.max_drop and self.worst_subset <= SUBSETS * self.max_drop

    @property
    def refuted(self) -> bool:
        """Whether a drop with everything present is surely beyond the limit, not only unproven.

        As far as the bound lies above what was seen, so far may the truth lie below.
        """
        surely = [2 * drop.value - drop.bound for drop in self.drops.values()]
        return max(surely, default=math.inf) > self.max_drop

    @property
    def passed(self) -> bool:
        """Whether the drops are within the limits, and proven to be."""
        return self.within and self.worst_bound <= self.max_drop

    @property
    def accepted(self) -> bool:
        """Whether it may be shipped: it passed, or it was said that it need not be proven."""
        return self.passed or (self.within and not self.proven)

    @property
    def settled(self) -> bool:
        """Whether restoring more is of no use: it passed, or nothing can be proven anyway."""
        return self.passed or (self.hopeless and (self.accepted or self.proven))

    @property
    def hopeless(self) -> bool:
        """Whether there are too few samples to prove any plan, be it as good as float32."""
        return any(self.hopeless_alone(drop) for drop in self.drops.values())

    def hopeless_alone(self, drop: Drop) -> bool:
        """Whether a task has too few samples to prove any plan."""
        return drop.discordant is not None and least_bound(drop.samples) > self.max_drop

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        return {
            "passed": self.passed,
            "accepted": self.accepted,
            "int8_share": round(self.share, 4),
            "ratio": self.ratio,
            "drops": {task: drop.to_json() for task, drop in self.drops.items()},
            "subsets": {
                name: {task: round(value, 4) for task, value in each.items()}
                for name, each in self.subsets.items()
            },
            "unjudged": {name: dict(each) for name, each in self.unjudged.items()},
        }
