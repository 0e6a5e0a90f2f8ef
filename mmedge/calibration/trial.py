"""Trials: a candidate is run on samples that its ranges were not made from, beside float32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.bundle import Bundle
from mmedge.calibration.candidate import CANDIDATE, Candidate
from mmedge.calibration.config import CalibrateConfig
from mmedge.calibration.confusion import Confusion, confuse
from mmedge.proof.answers import Answers, EmbeddingStore
from mmedge.proof.choosing import metric_of
from mmedge.proof.data import Prepared
from mmedge.proof.paired import Drop, paired_drop, paired_hits
from mmedge.proof.recall import Sought, first_found, recall_hits, recall_k, sought
from mmedge.proof.subsets import presence_rows, row_name
from mmedge.proof.temperatures import fit_temperatures
from mmedge.runtime.predictor import Predictor
from mmedge.specs import Classification, Task

__all__ = ["Judge", "Trial"]

Array = NDArray[np.generic]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a candidate loses against float32 on the same samples.

    Attributes:
        candidate: what was tried.
        drops: task -> what its metric loses with everything present that a sample has.
        subsets: subset of modalities -> task -> the same with only those present; without
            bounds, which are for what is promised.
        int8: modality -> layers in INT8.
        share: of the encoders' multiply-accumulates that are INT8, 0..1.
        max_drop: points that ``drops`` may have in their bounds; ``subsets`` may have twice
            as many in their values.
        proven: whether the bounds count, not only the values.
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
    confusions: Mapping[str, Confusion] = field(default_factory=dict)
    ratio: float | None = None

    @property
    def worst_bound(self) -> float:
        """The largest upper bound of a task's drop, in points."""
        return max(drop.bound for drop in self.drops.values())

    @property
    def worst_value(self) -> float:
        """The largest drop of a task, in points."""
        return max(drop.value for drop in self.drops.values())

    @property
    def worst_subset(self) -> float:
        """The largest drop of a task in any subset, in points."""
        return max((v for each in self.subsets.values() for v in each.values()), default=0.0)

    @property
    def within(self) -> bool:
        """Whether the drops that were seen are within the limits, proven or not."""
        return self.worst_value <= self.max_drop and self.worst_subset <= 2 * self.max_drop

    @property
    def refuted(self) -> bool:
        """Whether a drop is surely beyond the limit, not only unproven.

        As far as the bound lies above what was seen, so far may the truth lie below.
        """
        return any(2 * d.value - d.bound > self.max_drop for d in self.drops.values())

    @property
    def passed(self) -> bool:
        """Whether the drops are within the limits, and proven to be if that is asked for."""
        return self.within and (not self.proven or self.worst_bound <= self.max_drop)

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        return {
            "passed": self.passed,
            "int8_share": round(self.share, 4),
            "ratio": self.ratio,
            "drops": {task: drop.to_json() for task, drop in self.drops.items()},
            "subsets": {
                name: {task: round(value, 4) for task, value in each.items()}
                for name, each in self.subsets.items()
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a plan answered to one part of the samples.

    Attributes:
        whole: task -> outputs with everything present that a sample has.
        subsets: subset of modalities -> task -> the same with only that.
        hits: task that is judged by its recall -> whether each query found its partner.
    """

    whole: Mapping[str, Array]
    subsets: Mapping[str, Mapping[str, Array]]
    hits: Mapping[str, Bools]


class Judge:
    """Tries candidates on one part of the samples; float32 answers once.

    Args:
        bundle: with the plan ``fp32``.
        prepared: the samples.
        folder: for embeddings; the caller removes it.
        config: the limit and the metric.
    """

    def __init__(
        self, bundle: Bundle, prepared: Prepared, folder: Path, config: CalibrateConfig
    ) -> None:
        self._config = config
        self.prepared = prepared
        self._store = EmbeddingStore(prepared, folder)
        self._tasks = bundle.manifest.tasks
        self.labelled = any(len(prepared.truths(name)[0]) for name in self._tasks)
        self._subsets = {
            row_name(bundle.manifest.presence, row): row
            for row in presence_rows(bundle.manifest.presence)[1:-1]
        }
        with Predictor(bundle, plan="fp32") as predictor:
            self.reference = Answers(predictor, self._store)
            for row in (None, *self._subsets.values()):
                self.reference.outputs(row)
            self._sought = self._seek()
            self._hits = self._recalled(self.reference)

    def answers(self, bundle: Bundle) -> Answered:
        """Run the candidate plan of a bundle."""
        with Predictor(bundle, plan=CANDIDATE) as predictor:
            answers = Answers(predictor, self._store)
            answered = Answered(
                whole=answers.outputs(),
                subsets={name: answers.outputs(row) for name, row in self._subsets.items()},
                hits=self._recalled(answers),
            )
            self._store.forget(predictor)
        return answered

    def outputs(self, bundle: Bundle) -> dict[str, Array]:
        """Run the candidate plan with everything present: task -> outputs."""
        with Predictor(bundle, plan=CANDIDATE) as predictor:
            outputs = Answers(predictor, self._store).outputs()
            self._store.forget(predictor)
        return outputs

    def _seek(self) -> dict[str, tuple[int, Sought]]:
        """Choose what is to be found, of tasks that are judged by that: K, and the partners."""
        ks = {name: recall_k(self._metric(task)) for name, task in self._tasks.items()}
        return {
            name: (
                k,
                sought(self.prepared, name, self._tasks[name])
                if self.labelled
                else first_found(self.reference, name),
            )
            for name, k in ks.items()
            if k
        }

    def _recalled(self, answers: Answers) -> dict[str, Bools]:
        return {n: recall_hits(answers, n, k, each) for n, (k, each) in self._sought.items()}

    def judge(self, bundle: Bundle, candidate: Candidate, share: float) -> Trial:
        """Try the candidate plan of a bundle."""
        found = self.answers(bundle)
        return Trial(
            candidate=candidate,
            drops=self._drops(found.whole, None) | self._recall_drops(found.hits),
            subsets={
                name: {task: drop.value for task, drop in self._drops(outputs, name).items()}
                for name, outputs in found.subsets.items()
            },
            int8=bundle.manifest.plans[CANDIDATE].int8,
            share=share,
            max_drop=self._config.max_drop,
            proven=not self._config.accept_unproven,
            confusions={
                name: confuse(task.labels, *compared)
                for name, task, compared in self._compared(found.whole, None)
                if isinstance(task, Classification)
            },
        )

    def _drops(self, outputs: Mapping[str, Array], subset: str | None) -> dict[str, Drop]:
        """Compare task by task, but for those that are judged by their recall."""
        seed = self._config.seed
        return {
            name: paired_drop(task, *compared, metric=self._metric(task), seed=seed)
            for name, task, compared in self._compared(outputs, subset)
            if name not in self._hits
        }

    def _recall_drops(self, hits: Mapping[str, Bools]) -> dict[str, Drop]:
        """Compare who found their partners."""
        return {
            name: paired_hits(
                self._hits[name],
                found,
                metric=self._metric(self._tasks[name]) if self.labelled else "agreement",
                seed=self._config.seed,
            )
            for name, found in hits.items()
        }

    def _compared(
        self, outputs: Mapping[str, Array], subset: str | None
    ) -> Iterator[tuple[str, Task, tuple[Array, Array, Array | None]]]:
        """Choose what is compared: the samples that have a label, or all if none has.

        Yields:
            A task's name, itself, and of the same samples float32's answers, the candidate's,
            and the truths.
        """
        row = None if subset is None else self._subsets[subset]
        rows, reference = self.reference.rows(row), self.reference.outputs(row)
        for name, task in self._tasks.items():
            known, truths = self.prepared.truths(name)
            chosen, at, which = np.intersect1d(rows, known, return_indices=True)
            if not self.labelled:
                chosen, at = rows, np.arange(len(rows))
            if len(chosen):
                true = truths[which] if self.labelled else None
                yield name, task, (reference[name][at], outputs[name][at], true)

    def _metric(self, task: Task) -> str:
        return metric_of(task, self._config.metric)

    def temperatures(self, bundle: Bundle) -> dict[str, dict[str, float]]:
        """Fit how sure the candidate plan is, task by task and subset by subset.

        Returns:
            task -> subset -> temperature, as a plan keeps them; without labels nothing.
        """
        found = self.answers(bundle)
        full = np.ones(len(bundle.manifest.presence), bool)
        everything = "+".join(bundle.manifest.presence)
        rows = {everything: full, **self._subsets}
        outputs = {everything: found.whole, **found.subsets}
        fitted = {}
        for name, task in self._tasks.items():
            if isinstance(task, Classification) and len(self.prepared.truths(name)[0]):
                answers = {}
                for subset, row in rows.items():
                    # What has less than everything is among the whole, but not of this subset.
                    among = self.reference.rows(None if subset == everything else row)
                    having = (self.prepared.presence | ~row).all(axis=1)
                    known, truths = self.prepared.truths(name, np.flatnonzero(having))
                    _, at, which = np.intersect1d(among, known, return_indices=True)
                    answers[subset] = (outputs[subset][name][at], truths[which])
                fitted[name] = fit_temperatures(task, answers)
        return fitted
