from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mmedge.errors import ConfigError
from mmedge.proof.metrics import macro_f1
from mmedge.proof.paired import Drop, paired_drop, paired_hits, samples_needed
from mmedge.specs import Classification, Matching, MultiLabel, Raw, Regression, Task

SIDE = Classification(labels=("left", "right", "ahead"))
TAGS = MultiLabel(labels=("low", "high"))
FITS = Matching(between=("ant", "bee"), threshold=0.9)
LEVEL = Regression(names=("level",), units=("m",), scale=10.0)
GRID = Raw(shape=(2, 2))


def logits(labels: Any) -> NDArray[np.float32]:
    """Outputs that answer these labels of `SIDE`."""
    return np.eye(3, dtype=np.float32)[np.asarray(labels)]


def hits(samples: int, lost: int, gained: int) -> Drop:
    """The drop where so many of the samples were lost and gained."""
    before, after = np.ones(samples, bool), np.ones(samples, bool)
    after[:lost] = False
    before[lost : lost + gained] = False
    return paired_hits(before, after, metric="accuracy")


def test_a_drop_is_in_points_of_the_samples_that_are_lost_less_those_that_are_gained() -> None:
    truths = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    drop = paired_drop(
        SIDE,
        logits([0, 1, 2, 0, 1, 2, 1, 2]),  # 6 of 8 right
        logits([1, 2, 0, 0, 1, 2, 0, 2]),  # the first three lost, the seventh gained: 4 of 8
        truths,
    )
    assert (drop.metric, drop.samples, drop.discordant) == ("accuracy", 8, 4)
    assert drop.value == pytest.approx(25.0)
    assert drop.bound > 25


def test_without_a_change_the_bound_is_the_rule_of_three() -> None:
    drop = hits(1000, 0, 0)
    assert (drop.value, drop.discordant) == (0.0, 0)
    assert drop.bound == pytest.approx(100 * (1 - 0.05 ** (1 / 1000)))
    assert drop.bound == pytest.approx(100 * 3 / 1000, rel=0.01)


@pytest.mark.parametrize(
    ("lost", "exact"),
    [(1, 0.4735), (2, 0.6282), (5, 1.0484), (20, 2.8930)],  # Clopper and Pearson's, of 1000, 95 %
)
def test_where_samples_are_only_lost_the_bound_is_the_exact_one(lost: int, exact: float) -> None:
    assert hits(1000, lost, 0).bound == pytest.approx(exact, rel=0.02)


def test_the_same_samples_give_the_same_bound() -> None:
    assert hits(500, 4, 3) == hits(500, 4, 3)


def test_what_a_plan_gains_lowers_the_bound_and_never_below_what_is_seen() -> None:
    bounds = [hits(1000, 10, gained).bound for gained in (0, 5, 10, 20)]
    assert bounds == sorted(bounds, reverse=True)
    assert hits(1000, 0, 40).bound > hits(1000, 0, 40).value == -4.0


def holds(count: int, lost: float, gained: float, rounds: int = 1500) -> float:
    """How often the bound holds where samples are truly lost and gained at these rates."""
    random = np.random.default_rng(count)
    drawn = random.multinomial(count, (lost, gained, 1 - lost - gained), rounds)
    pairs, times = np.unique(drawn[:, :2], axis=0, return_counts=True)
    right = [hits(count, k, g).bound >= 100 * (lost - gained) - 1e-9 for k, g in pairs.tolist()]
    return float(times[np.array(right)].sum() / rounds)


@pytest.mark.parametrize("count", [50, 600, 5000])
@pytest.mark.parametrize(
    ("lost", "gained"),
    [(0.0005, 0.0), (0.002, 0.0), (0.005, 0.0), (0.005, 0.005), (0.02, 0.0), (0.03, 0.01)],
)
def test_the_bound_holds_in_95_of_100_worlds(count: int, lost: float, gained: float) -> None:
    # Of 1,500 worlds at 95 %, 0.933 is three standard deviations low.
    assert holds(count, lost, gained) >= 0.933


def plain_bootstrap_holds(count: int, lost: float, rounds: int = 300) -> float:
    random = np.random.default_rng(count)
    right = 0
    for seen in random.binomial(count, lost, rounds):
        drawn = random.binomial(count, seen / count, 500) / count
        right += bool(np.quantile(drawn, 0.95) >= lost)
    return right / rounds


def test_a_plain_bootstrap_would_be_too_sure_of_itself() -> None:
    """Why the bound is not that one: at 0.2 points lost of 600 clips it holds in 70 of 100."""
    assert plain_bootstrap_holds(600, 0.002) < 0.8


def test_the_bound_on_macro_f1_holds_too() -> None:
    random = np.random.default_rng(9)

    def world(count: int) -> tuple[Any, Any, Any]:
        truths = random.choice(3, count, p=(0.5, 0.35, 0.15))
        before = np.where(random.random(count) < 0.9, truths, (truths + 1) % 3)
        after = np.where(random.random(count) < 0.02, (truths + 2) % 3, before)
        return logits(before), logits(after), truths

    before, after, truths = world(200_000)
    was, now = (macro_f1(each.argmax(axis=1), truths) for each in (before, after))
    true = 100 * (was - now)
    bounds = [paired_drop(SIDE, *world(150), metric="macro_f1").bound for _ in range(150)]
    assert np.mean(np.array(bounds) >= true) >= 0.9  # three deviations below 0.95
    assert np.median(bounds) < true + 6


def test_a_drop_whose_bound_is_not_asked_for_is_the_same_and_proves_nothing() -> None:
    random = np.random.default_rng(0)
    before, truths = random.normal(size=(60, 3)), random.integers(0, 3, 60)
    given = Classification(labels=("a", "b", "c")), before, -before, truths
    bounded = paired_drop(*given, metric="macro_f1")
    alone = paired_drop(*given, metric="macro_f1", bounded=False)
    assert (alone.value, alone.bound) == (bounded.value, np.inf)
    assert np.isfinite(bounded.bound)


def test_every_kind_of_task_has_its_metric_and_its_direction() -> None:
    random = np.random.default_rng(2)
    count = 400
    held = random.random((count, 2)) < 0.4
    level = random.normal(size=(count, 1))
    grid = random.normal(size=(count, 2, 2))
    noise = random.normal(size=(count, 2)) * 2
    found = {
        "mean_average_precision": (TAGS, held * 2.0 - 1, held * 2.0 - 1 + noise, held, None),
        "roc_auc": (
            FITS,
            held[:, :1] * 6.0,
            held[:, :1] * 6.0 + noise[:, :1],
            held[:, 0],
            "roc_auc",
        ),
        "relative_mae": (LEVEL, level / 10, level / 10 + noise[:, :1] / 100, level, None),
        "relative_rms": (GRID, grid, grid * 1.1, grid, None),
    }
    for name, (task, before, after, truths, metric) in found.items():
        drop = paired_drop(task, before, after, truths, metric=metric)
        assert drop.metric == name
        assert drop.samples == count
        assert 0 < drop.value < drop.bound < drop.value + 40, name
        back = paired_drop(task, after, before, truths, metric=metric)
        assert back.value == pytest.approx(-drop.value)
    assert paired_drop(GRID, grid, grid * 1.1, grid).value == pytest.approx(10.0)


def test_matching_is_judged_at_its_threshold() -> None:
    # Logit 2.2 is probability 0.9.
    drop = paired_drop(
        FITS,
        np.float32([[3], [3], [1]]),
        np.float32([[3], [2], [1]]),
        np.array([True, True, False]),
    )
    assert (drop.metric, drop.discordant) == ("accuracy", 1)
    assert drop.value == pytest.approx(100 / 3)


def test_a_rare_class_keeps_macro_f1_unproven_where_accuracy_is_proven() -> None:
    truths = np.repeat([0, 1, 2], [995, 1000, 5])
    same = logits(truths)
    assert paired_drop(SIDE, same, same, truths).bound < 0.2
    macro = paired_drop(SIDE, same, same, truths, metric="macro_f1")
    assert macro.value == 0
    assert macro.bound > 5  # three samples of the rare class for each of which five were right


def test_a_single_class_and_an_answer_never_true_are_no_division_by_zero() -> None:
    truths = np.zeros(20, int)
    drop = paired_drop(SIDE, logits(truths), logits([1] + [0] * 19), truths, metric="macro_f1")
    # F1 of the class falls from 1 to 38 / 39, and one never true comes in with 0.
    assert drop.value == pytest.approx(100 * (1 - 38 / 39 / 2))


@pytest.mark.parametrize(
    ("task", "before", "after", "metric", "value"),
    [
        (SIDE, logits([0, 1, 2, 0]), logits([0, 1, 1, 0]), "agreement", 25.0),
        (TAGS, np.float32([[1, 1], [-1, 1]]), np.float32([[1, 1], [-1, -1]]), "agreement", 25.0),
        (FITS, np.float32([[3], [1]]), np.float32([[1], [1]]), "agreement", 50.0),
        # FP32's answers lie 1 off their mean; the plan's are 0.5 off those.
        (LEVEL, np.float32([[1], [3]]), np.float32([[1.5], [2.5]]), "change", 50.0),
        (GRID, np.ones((2, 2, 2)), np.full((2, 2, 2), 1.5), "change", 50.0),
    ],
)
def test_without_labels_it_is_how_far_the_plan_is_from_fp32(
    task: Task, before: Any, after: Any, metric: str, value: float
) -> None:
    drop = paired_drop(task, before, after, None)
    assert drop.metric == metric
    assert drop.value == pytest.approx(value, rel=1e-6)
    assert drop.bound >= drop.value


@pytest.mark.parametrize(
    ("task", "truths", "metric", "message"),
    [
        (SIDE, [0, 1], "roc_auc", "not judged by 'roc_auc'; choose accuracy or macro_f1"),
        (FITS, [True, True], "roc_auc", "cannot tell roc_auc"),
        (TAGS, [[False, False]] * 2, None, "cannot tell mean_average_precision"),
        (LEVEL, [[1.0], [1.0]], None, "their true values are all the same"),
        (GRID, np.zeros((2, 2, 2)), None, "all references are zero"),
    ],
)
def test_what_the_samples_cannot_tell_is_an_error(
    task: Task, truths: Any, metric: str | None, message: str
) -> None:
    outputs = np.zeros((2, *task.shape))
    with pytest.raises(ConfigError, match=message):
        paired_drop(task, outputs, outputs, np.asarray(truths), metric=metric)


def test_no_sample_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no sample to tell accuracy from"):
        paired_drop(SIDE, np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))
    with pytest.raises(ConfigError, match="no sample to tell recall_at_5 from"):
        paired_hits([], [], metric="recall_at_5")


def test_samples_needed_are_those_at_which_the_bound_would_suffice() -> None:
    assert samples_needed(hits(50, 0, 0), 0.5) == 600  # 598 by the rule of three
    drop = hits(1000, 5, 4)
    assert drop.bound > 0.5
    needed = samples_needed(drop, 0.5)
    assert needed is not None
    times = needed / 1000
    assert hits(needed, round(5 * times), round(4 * times)).bound == pytest.approx(0.5, abs=0.05)


def test_no_number_of_samples_proves_a_drop_that_is_seen() -> None:
    assert samples_needed(hits(1000, 5, 0), 0.5) is None


def test_samples_needed_of_other_metrics_follow_the_root_of_their_number() -> None:
    drop = Drop(metric="relative_mae", value=0.1, bound=0.9, samples=100)
    assert samples_needed(drop, 0.5) == 400
