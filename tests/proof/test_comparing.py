"""Plans beside FP32, by hand: which samples count, and what is searched once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.errors import ConfigError
from mmedge.proof.answers import Answers, EmbeddingStore
from mmedge.proof.comparing import Comparison
from mmedge.proof.data import Sample
from mmedge.runtime.predictor import Predictor
from mmedge.specs import Matching
from tests.fakes import SIDE
from tests.proof.data.making import prepared, sound
from tests.proof.plans.making import biased, matching, with_plans

TASKS = {"side": Matching(between=("ant", "bee"))}
BEE = np.array([False, True])


class Counting(Predictor):
    """Counts how often its head is asked."""

    asked = 0

    def fuse(self, *args: Any, **more: Any) -> Any:
        self.asked += 1
        return super().fuse(*args, **more)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def answers(stack: ExitStack, folder: Path, heads: Any, tasks: Any, **labels: Any) -> list[Answers]:
    """Of FP32 and each plan, to eight clips, -4 to 3 in both sounds; the second lacks bee."""
    bundle = with_plans(heads, tasks=tasks)
    samples = [
        Sample(
            where="",
            raws={"ant": sound(n - 4, 0), **({} if n == 1 else {"bee": sound(n - 4, 1)})},
            labels={k: v for k, v in labels.items() if n != 2},  # nor has the third a label
        )
        for n in range(8)
    ]
    (folder / "kept").mkdir()
    store = EmbeddingStore(prepared(folder, samples, bundle), folder / "kept")
    opened = [stack.enter_context(Counting(bundle, plan=name)) for name in ("fp32", *heads)]
    return [Answers(each, store) for each in opened]


@pytest.mark.parametrize(("label", "metric"), [(True, "recall_at_2"), (None, "agreement")])
def test_what_fp32_finds_is_searched_once_for_all_plans(
    tmp_path: Path, stack: ExitStack, label: bool | None, metric: str
) -> None:
    labels = {} if label is None else {"side": label}
    heads = {"one": matching(1.0), "other": matching(2.0)}
    first, *plans = answers(stack, tmp_path, heads, TASKS, **labels)
    beside = Comparison(first, "recall_at_2")
    assert beside.drop(first, "side").discordant == 0
    assert isinstance(first.predictor, Counting)
    asked = first.predictor.asked
    assert asked > 0
    for plan in plans:  # their heads say more or less of every pair, and so find the same
        drop = beside.drop(plan, "side")
        assert (drop.metric, drop.value, drop.discordant) == (metric, 0.0, 0)
    assert first.predictor.asked == asked


def test_those_with_a_label_are_compared_in_a_subset_those_that_have_it(
    tmp_path: Path, stack: ExitStack
) -> None:
    # Left where ant + bee, 2 x + 1 each, is over 0; over 7 in the plan, which is right of 2 and 6.
    first, plan = answers(stack, tmp_path, {"plan": biased(7.0)}, {"side": SIDE}, side="left")
    beside = Comparison(first)
    whole = beside.drop(plan, "side")
    assert (whole.metric, whole.samples, whole.discordant) == ("accuracy", 7, 2)
    assert whole.value == pytest.approx(100 * 2 / 7)
    assert beside.drop(plan, "side", BEE).samples == 6
    before, after, truths = beside.compared(plan, "side", BEE, np.array([0, 1, 2, 7]))
    assert truths is not None
    assert (before.shape, after.shape, truths.tolist()) == ((2, 2), (2, 2), [0, 0])


def test_without_any_label_all_are_compared_with_fp32(tmp_path: Path, stack: ExitStack) -> None:
    first, plan = answers(stack, tmp_path, {"plan": biased(7.0)}, {"side": SIDE})
    beside = Comparison(first)
    drop = beside.drop(plan, "side")
    assert (drop.metric, drop.samples, drop.discordant) == ("agreement", 8, 2)
    before, _, truths = beside.compared(plan, "side", BEE, np.array([0, 1, 2, 7]))
    assert (len(before), truths) == (3, None)


def test_samples_that_cannot_tell_are_an_error(tmp_path: Path, stack: ExitStack) -> None:
    first, plan = answers(stack, tmp_path, {"plan": matching(1.0)}, TASKS, side=True)
    with pytest.raises(ConfigError, match="cannot tell roc_auc"):
        Comparison(first, "roc_auc").drop(plan, "side")
