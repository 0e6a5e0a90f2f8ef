"""What a plan costs: the drop of a task's metric from FP32 to the plan, on the same samples.

The bound is a bootstrap's over samples (Efron and Tibshirani 1993, "An introduction to the
bootstrap"; with smooth weights, Rubin 1981, "The Bayesian bootstrap"), in pairs: both models
have the same weights in every draw. A plain bootstrap is too sure of itself where few samples
changed: it has never seen the loss that the next sample may bring, and where none changed its
bound is 0. So every draw holds one sample more, which loses all that a sample can lose, as in
the bound on the mean of a bounded quantity of Gaffke 2005 and Learned-Miller and Thomas 2020
("A new confidence interval for the mean of a bounded random variable"). Where samples are only
ever lost that is the exact bound of Clopper and Pearson 1934; where none changed it is
``1 - 0.05^(1 / n)``, the rule of three, ``3 / n`` (Hanley and Lippman-Hand 1983).

It speaks of more samples like these: of a speaker or a site that is not among them it knows
nothing, see the slices of `mmedge eval`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmedge.errors import ConfigError
from mmedge.proof.resampling import Draw, lose_label, lose_number, lose_rank, lose_tensor
from mmedge.proof.tally import decisions
from mmedge.runtime.prediction import task_scores
from mmedge.specs import Classification, Matching, MultiLabel, Raw, Regression, Task

__all__ = ["METRICS", "Drop", "least_bound", "paired_drop", "paired_hits", "samples_needed"]

Array = NDArray[np.generic]
Floats = NDArray[np.float64]

METRICS: dict[type[Task], tuple[str, ...]] = {
    Classification: ("accuracy", "macro_f1"),
    MultiLabel: ("mean_average_precision",),
    Matching: ("accuracy", "roc_auc"),
    Regression: ("relative_mae",),
    Raw: ("relative_rms",),
}
"""What a task may be judged by, the usual first. Without labels it is ``agreement`` with FP32,
or for numbers their ``change`` (relative MAE or RMS, with FP32's answers as the truth)."""

LEVEL = 0.95
DRAWS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """What is lost from FP32 to a plan, in points: hundredths of the metric.

    Attributes:
        metric: of `METRICS`, ``recall_at_K``, or without labels ``agreement`` or ``change``.
        value: as observed; below 0 where the plan is better. Of a metric that is better when
            lower, how much it rises.
        bound: with a confidence of 95 % the drop is at most this.
        samples: how many were compared.
        discordant: samples that one answers rightly and the other not; ``None`` where the
            metric does not count samples.
    """

    metric: str
    value: float
    bound: float
    samples: int
    discordant: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        return {**asdict(self), "value": round(self.value, 6), "bound": round(self.bound, 6)}


def paired_drop(
    task: Task,
    reference: Array,
    outputs: Array,
    truths: Array | None,
    *,
    metric: str | None = None,
    seed: int = 0,
    bounded: bool = True,
) -> Drop:
    """Compare a plan with FP32.

    Args:
        task: what is answered.
        reference: ``[N, *shape]``, what the head gave in FP32.
        outputs: of the same samples and shape, what it gave in the plan.
        truths: ``[N, ...]``, from `mmedge.runtime.clips.read_label`; ``None`` without labels.
        metric: one of the task's in `METRICS`; the first if not given.
        seed: of the draws.
        bounded: whether the bound is asked for, whose draws may take seconds; else it is
            infinite.

    Raises:
        ConfigError: not a metric of the task, or one that these samples cannot tell.
    """
    chosen = metric or METRICS[type(task)][0]
    if chosen not in METRICS[type(task)]:
        names = " or ".join(METRICS[type(task)])
        raise ConfigError(f"a {task.kind} task is not judged by {chosen!r}; choose {names}")
    _refuse_none(reference, chosen)
    drawn = seed if bounded else None
    before, after = task_scores(task, reference), task_scores(task, outputs)
    if isinstance(task, (Regression, Raw)):
        lose = lose_number if isinstance(task, Regression) else lose_tensor
        true = before if truths is None else truths.astype(np.float64)
        name = "change" if truths is None else chosen
        return _of_draw(name, lose(before, after, true), drawn, lower=True)
    if truths is not None and chosen in {"mean_average_precision", "roc_auc"}:
        return _of_draw(chosen, lose_rank(chosen, before, after, truths), drawn)
    was, now = decisions(task, before), decisions(task, after)
    if truths is None:
        return _of_means((was != now).reshape(len(was), -1).mean(axis=1), "agreement", seed)
    if chosen == "macro_f1":
        return _of_draw(chosen, lose_label(was, now, truths, task.shape[0]), drawn)
    right, still = was.reshape(-1) == truths, now.reshape(-1) == truths
    return paired_hits(right, still, metric=chosen, seed=seed)


def paired_hits(before: ArrayLike, after: ArrayLike, *, metric: str, seed: int = 0) -> Drop:
    """Compare which samples were right in FP32 and in the plan.

    Or which queries found their partner among the K nearest (``recall_at_K``): then the
    gallery stays, and the queries are drawn.

    Args:
        before: bool ``[N]``.
        after: of the same samples.
        metric: what to call the share that is right.
        seed: of the draws.
    """
    first, then = np.asarray(before, np.float64), np.asarray(after, np.float64)
    _refuse_none(first, metric)
    return _of_means(first - then, metric, seed)


def least_bound(samples: float) -> float:
    """Give what so many clips prove of a plan that answers all of them as FP32, in points."""
    return float(100 * (1 - (1 - LEVEL) ** (1 / samples)))


def samples_needed(drop: Drop, max_drop: float) -> int | None:
    """Estimate how many clips would prove ``max_drop`` points, if they change as these did.

    Rounded up to two digits. ``None`` where no number would: the observed drop is no less.
    """
    if drop.value >= max_drop:
        return None
    if drop.discordant is None:
        # The bound's distance shrinks with the root of the number, or faster.
        needed = drop.samples * ((drop.bound - drop.value) / (max_drop - drop.value)) ** 2
        return _two_digits(needed)
    lost = (drop.discordant / drop.samples + drop.value / 100) / 2
    gained = drop.discordant / drop.samples - lost
    shares = np.array([lost, gained, 1 - lost - gained]).clip(0)

    def proven(number: float) -> bool:
        return _bound_of_means(np.array([1.0, -1.0, 0.0]), shares * number, seed=0) <= max_drop

    low, high = 1.0, 2.0
    while not proven(high):
        low, high = high, 2 * high
    while high / low > 1.005:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if proven(middle) else (middle, high)
    return _two_digits(high)


def _two_digits(number: float) -> int:
    step: int = 10 ** max(0, math.floor(math.log10(max(1.0, number))) - 1)
    return math.ceil(number / step) * step


def _refuse_none(samples: Array, metric: str) -> None:
    if not len(samples):
        raise ConfigError(f"there is no sample to tell {metric} from; give labelled clips")


def _of_means(losses: Floats, metric: str, seed: int) -> Drop:
    """The drop of a metric that is a mean: what each sample lost, -1..1 ``[N]``."""
    values, counts = np.unique(losses, return_counts=True)
    whole = bool(np.isin(values, (-1, 0, 1)).all())
    return Drop(
        metric=metric,
        value=100 * float(losses.mean()),
        bound=_bound_of_means(values, counts.astype(np.float64), seed),
        samples=len(losses),
        discordant=int(np.count_nonzero(losses)) if whole else None,
    )


def _bound_of_means(values: Floats, counts: Floats, seed: int) -> float:
    """The bound in points, where ``counts`` samples lost ``values``, and one more lost 1.

    Equal samples are drawn at once: the sum of their weights is a gamma variable.
    """
    if not values[counts > 0].any():
        return least_bound(counts.sum())
    lost = np.append(values, 1.0)
    random = np.random.default_rng(seed)
    weights = random.standard_gamma(np.append(counts, 1.0), (DRAWS, len(lost)))
    return float(100 * np.quantile(weights @ lost / weights.sum(axis=1), LEVEL))


def _of_draw(metric: str, draw: Draw, seed: int | None, *, lower: bool = False) -> Drop:
    """The drop of any other metric; ``lower`` is better, or higher. Unbounded without a seed."""
    sign = 100 if lower else -100
    value, bound = sign * draw.change(), math.inf
    if seed is not None:
        bound = max(value, float(np.quantile(sign * draw.changes(seed), LEVEL)))
    return Drop(metric=metric, value=value, bound=bound, samples=draw.samples)
