"""The search: the most that can be INT8 with the accuracy within its limit.

From all-INT8 back up: units are restored in the order of what they cost (`sensitivity`), and
the fewest restored ones that pass are found by bisection. Accuracy is not strictly monotone
in them, so the plan that is shipped is one that was itself tried and passed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmedge.calibration.candidate import Candidate
from mmedge.calibration.sensitivity import Unit
from mmedge.calibration.trial import Trial

__all__ = ["Found", "fewest_restored"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where a search ended.

    Attributes:
        trial: the cheapest that passed; if none did, the cheapest that may be accepted as it
            is, or else the most accurate.
        restored: units that it keeps above INT8.
        trials: all that were tried, in order.
    """

    trial: Trial
    restored: tuple[Unit, ...]
    trials: tuple[Trial, ...]


def fewest_restored(
    start: Candidate,
    order: Sequence[Unit],
    judge: Callable[[Candidate], Trial],
    late: Callable[[], bool] = lambda: False,
    *,
    least: int = 0,
    most: int | None = None,
) -> Found:
    """Bisect over how many units are restored.

    Args:
        start: everything in INT8.
        order: what is restored first.
        judge: tries a candidate.
        late: whether the time is up; then the best so far is taken, after all units restored
            was tried if nothing has passed yet.
        least: units that are restored at least...
        most: ...and at most; ``None`` is all.
    """
    trials: dict[int, Trial] = {}

    def trial(count: int) -> Trial:
        if count not in trials:
            trials[count] = judge(
                start.without(pair for unit in order[:count] for pair in unit.pairs)
            )
        return trials[count]

    end = len(order) if most is None else most
    low, high = least - 1, least  # restoring `low` units fails
    while not trial(high).settled and high < end:
        # Most models need few units back, so the first steps are small.
        low, high = high, end if late() else min(end, max(1, 2 * high))
    while trial(high).passed and high - low > 1 and not late():
        middle = (low + high) // 2
        if trial(middle).passed:
            high = middle
        else:
            low = middle
    best = high
    if not trial(high).passed:
        accepted = [count for count in sorted(trials) if trials[count].accepted]
        best = (accepted or sorted(trials, key=lambda count: trials[count].worst_bound))[0]
    return Found(trial=trials[best], restored=tuple(order[:best]), trials=tuple(trials.values()))
