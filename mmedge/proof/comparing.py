"""A plan beside FP32 on the same samples: which count, in what metric, and what is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mmedge.proof.answers import Answers
from mmedge.proof.choosing import metric_of
from mmedge.proof.paired import Drop, paired_drop, paired_hits
from mmedge.proof.recall import Sought, first_found, recall_hits, recall_k, sought
from mmedge.specs import Task

__all__ = ["Comparison"]

Array = NDArray[np.generic]
Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What plans are compared with; what FP32 finds is searched once.

    Attributes:
        reference: what FP32 answers.
        metric: what was asked for, as `mmedge.proof.choosing.metric_of` takes it.
        seed: of the bootstrap.
    """

    reference: Answers
    metric: str | None = None
    seed: int = 0
    _found: dict[str, tuple[Sought, Bools]] = field(default_factory=dict)

    def searches(self, task: str) -> int | None:
        """Give the K of a task that is judged by its recall, among all samples only."""
        return recall_k(self._named(task))

    def drop(
        self,
        answers: Answers,
        task: str,
        subset: Bools | None = None,
        among: Rows | None = None,
        *,
        bounded: bool = True,
    ) -> Drop:
        """Tell what a task loses.

        Args:
            answers: of a plan, to the samples of the reference.
            task: its name.
            subset: bool ``[M]``; ``None`` takes what each sample has.
            among: these samples only.
            bounded: whether the bound is asked for, as `paired_drop` takes it.

        Raises:
            ConfigError: these samples cannot tell, or there is nothing to search in them.
            ProofError: the head answers with NaN or infinity.
        """
        if (k := self.searches(task)) is not None:
            return self._drop_of_search(answers, task, k)
        before, after, truths = self.compared(answers, task, subset, among)
        return paired_drop(
            self._tasks[task],
            before,
            after,
            truths,
            metric=self._named(task),
            seed=self.seed,
            bounded=bounded,
        )

    def compared(
        self, answers: Answers, task: str, subset: Bools | None = None, among: Rows | None = None
    ) -> tuple[Array, Array, Array | None]:
        """Choose what is compared: the samples with a label for the task, or all if none has.

        Returns:
            Of the same samples what FP32 and the plan answer, ``[N, ...]``, and the truths.
        """
        truths: Array | None = None
        if self._is_labelled(task):
            at, truths = self.reference.truths(task, subset, among)
        else:
            rows = self.reference.rows(subset)
            at = np.flatnonzero(np.isin(rows, rows if among is None else among))
        return self.reference.outputs(subset)[task][at], answers.outputs(subset)[task][at], truths

    def _drop_of_search(self, answers: Answers, task: str, k: int) -> Drop:
        """Compare who found their partners, or without labels who found what FP32 does."""
        labelled = self._is_labelled(task)
        if task not in self._found:
            prepared = self.reference.store.prepared
            wanted = (
                sought(prepared, task, self._tasks[task])
                if labelled
                else first_found(self.reference, task)
            )
            self._found[task] = wanted, recall_hits(self.reference, task, k, wanted)
        wanted, first = self._found[task]
        then = first if answers is self.reference else recall_hits(answers, task, k, wanted)
        metric = self._named(task) if labelled else "agreement"
        return paired_hits(first, then, metric=metric, seed=self.seed)

    @property
    def _tasks(self) -> Mapping[str, Task]:
        return self.reference.predictor.manifest.tasks

    def _is_labelled(self, task: str) -> bool:
        return task not in self.reference.store.prepared.unlabelled

    def _named(self, task: str) -> str:
        return metric_of(self._tasks[task], self.metric)
