"""Every plan beside FP32, on the same samples: subset by subset, and slice by slice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ConfigError
from mmedge.proof.answers import Answers, EmbeddingStore
from mmedge.proof.comparing import Comparison
from mmedge.proof.evaluation import tally_subset
from mmedge.proof.paired import Drop
from mmedge.proof.plans.config import EvalConfig
from mmedge.proof.plans.found import Row, Slice
from mmedge.proof.subsets import presence_rows, row_name
from mmedge.runtime.predictor import Predictor

__all__ = ["AS_GIVEN", "REFERENCE", "Judge"]

Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]

AS_GIVEN = "as given"
"""The subset of whatever a sample has, where some lack a modality."""
REFERENCE = "fp32"


@dataclass(frozen=True, slots=True)
class Judge:
    """What plans answer to samples, and what it is worth.

    Attributes:
        config: the metric and the limit.
        predictors: open plans by name, ``fp32`` first.
        store: the samples' embeddings.
    """

    config: EvalConfig
    predictors: Mapping[str, Predictor]
    store: EmbeddingStore

    @property
    def labelled(self) -> bool:
        """Whether there is a label for any task."""
        return len(self.unlabelled) < len(self.predictors[REFERENCE].manifest.tasks)

    @property
    def unlabelled(self) -> tuple[str, ...]:
        """The tasks that no sample has a label for."""
        return self.store.prepared.unlabelled

    @property
    def subsets(self) -> dict[str, Bools | None]:
        """The subsets that some sample has, bool ``[M]``; first what each sample has."""
        names, have = self.predictors[REFERENCE].manifest.presence, self.store.prepared.presence
        found: dict[str, Bools | None] = {"+".join(names) if have.all() else AS_GIVEN: None}
        for row in presence_rows(names)[:-1]:
            if (have | ~row).all(axis=1).any():
                found.setdefault(row_name(names, row), row)
        return found

    def rows(self, present: str, subset: Bools | None) -> Iterator[Row]:
        """Judge every plan with one subset; nothing of it stays in memory."""
        reference = Answers(self.predictors[REFERENCE], self.store)
        beside = Comparison(reference, self.config.metric)
        for plan, predictor in self.predictors.items():
            answers = reference if plan == REFERENCE else Answers(predictor, self.store)
            tallies = tally_subset(answers, subset)
            for task in predictor.manifest.tasks:
                if task not in tallies and task not in self.unlabelled:
                    continue
                tally = tallies.get(task)
                yield Row(
                    plan=plan,
                    present=present,
                    task=task,
                    samples=len(answers.rows(subset)) if tally is None else len(tally),
                    metrics={} if tally is None else tally.metrics(),
                    classes={} if tally is None else tally.classes(),
                    drop=None if plan == REFERENCE else _drop(beside, answers, task, subset),
                )

    def slices(self, column: str) -> list[Slice]:
        """Judge every plan on the samples of each value of a column, with all that they have.

        Returns:
            The largest drop first, and last what cannot be told.
        """
        values = np.array(self.store.prepared.columns[column])
        reference = Answers(self.predictors[REFERENCE], self.store)
        beside = Comparison(reference, self.config.metric)
        found: list[Slice] = []
        for plan, predictor in self.predictors.items():
            if plan != REFERENCE:
                answers = Answers(predictor, self.store)
                for value in np.unique(values).tolist():
                    among = np.flatnonzero(values == value)
                    found += self._slice(beside, answers, value, among)
        return sorted(found, key=lambda each: -each.drop.value if each.drop else np.inf)

    def _slice(
        self, beside: Comparison, answers: Answers, value: str, among: Rows
    ) -> Iterator[Slice]:
        tallies = tally_subset(answers, None, among)
        for task in answers.predictor.manifest.tasks:
            drop = _drop(beside, answers, task, None, among)
            if task in tallies or drop is not None:
                limit = self.config.max_drop
                yield Slice(
                    plan=answers.predictor.plan,
                    value=value,
                    task=task,
                    samples=len(tallies[task]) if task in tallies else len(among),
                    metrics=tallies[task].metrics() if task in tallies else {},
                    drop=drop,
                    over=limit is not None and drop is not None and drop.value > limit,
                )


def _drop(
    beside: Comparison,
    answers: Answers,
    task: str,
    subset: Bools | None,
    among: Rows | None = None,
) -> Drop | None:
    """Compare; ``None`` where these samples cannot tell."""
    if beside.searches(task) and (subset is not None or among is not None):
        return None  # it searches all clips, with the task's two modalities
    try:
        return beside.drop(answers, task, subset, among)
    except ConfigError:
        return None
