"""Runs candidates on samples that their ranges were not made from, beside float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmedge.bundle import Bundle
from mmedge.calibration.candidate import CANDIDATE, Candidate
from mmedge.calibration.config import CalibrateConfig
from mmedge.calibration.confusion import confuse
from mmedge.calibration.sensitivity import noise_of
from mmedge.calibration.trial import Trial, clips_to_judge
from mmedge.errors import ConfigError, ProofError
from mmedge.proof.answers import Answers, EmbeddingStore
from mmedge.proof.choosing import metric_of
from mmedge.proof.data import Prepared
from mmedge.proof.paired import Drop, paired_drop, paired_hits
from mmedge.proof.recall import Sought, first_found, recall_hits, recall_k, sought
from mmedge.proof.subsets import presence_rows, row_name
from mmedge.proof.temperatures import fit_temperatures
from mmedge.runtime.predictor import Predictor
from mmedge.specs import Classification, Task

__all__ = ["Judge"]

Array = NDArray[np.generic]
Bools = NDArray[np.bool_]

SPOILED = 1e6
"""The noise of a candidate that answers with NaN or infinity: more than any other's."""


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
        on_progress: told the share of a graph's inputs that is encoded, 0..1.
        judges: whether it will `judge`; else it is asked for `noise` only.

    Raises:
        ConfigError: the samples cannot tell what a task is judged by.
    """

    def __init__(
        self,
        bundle: Bundle,
        prepared: Prepared,
        folder: Path,
        config: CalibrateConfig,
        on_progress: Callable[[float], None] = lambda _: None,
        *,
        judges: bool = True,
    ) -> None:
        self._config = config
        self.prepared = prepared
        self._store = EmbeddingStore(prepared, folder, on_progress)
        self._tasks = bundle.manifest.tasks
        self._labelled = frozenset(self._tasks) - set(prepared.unlabelled)
        self._subsets = {
            row_name(bundle.manifest.presence, row): row
            for row in presence_rows(bundle.manifest.presence)[1:-1]
        }
        with Predictor(bundle, plan="fp32") as predictor:
            self.reference = Answers(predictor, self._store)
            for row in (None, *self._subsets.values()) if judges else (None,):
                self.reference.outputs(row)
            self._sought = self._seek() if judges else {}
            self._hits = self._recalled(self.reference)
        if judges:  # what these samples cannot tell shows beside itself
            self._drops(self.reference.outputs(), None, bounded=False)

    def answers(self, bundle: Bundle) -> Answered:
        """Run the candidate plan of a bundle."""
        with Predictor(bundle, plan=CANDIDATE) as predictor:
            answers = Answers(predictor, self._store)
            try:
                return Answered(
                    whole=answers.outputs(),
                    subsets={name: answers.outputs(row) for name, row in self._subsets.items()},
                    hits=self._recalled(answers),
                )
            finally:
                self._store.forget(predictor)

    def noise(self, bundle: Bundle) -> float:
        """Tell how far the candidate plan of a bundle answers from float32 (`noise_of`)."""
        with Predictor(bundle, plan=CANDIDATE) as predictor:
            try:
                outputs = Answers(predictor, self._store).outputs()
            except ProofError:
                return SPOILED
            finally:
                self._store.forget(predictor)
        return noise_of(self.reference.outputs(), outputs)

    def _seek(self) -> dict[str, tuple[int, Sought]]:
        """Choose what is to be found, of tasks that are judged by that: K, and the partners."""
        ks = {name: recall_k(self._metric(task)) for name, task in self._tasks.items()}
        return {
            name: (
                k,
                sought(self.prepared, name, self._tasks[name])
                if name in self._labelled
                else first_found(self.reference, name),
            )
            for name, k in ks.items()
            if k
        }

    def _recalled(self, answers: Answers) -> dict[str, Bools]:
        return {n: recall_hits(answers, n, k, each) for n, (k, each) in self._sought.items()}

    def judge(self, bundle: Bundle, candidate: Candidate, share: float) -> Trial:
        """Try the candidate plan of a bundle."""
        failed = Trial(
            candidate=candidate,
            drops={},
            subsets={},
            int8=bundle.manifest.plans[CANDIDATE].int8,
            share=share,
            max_drop=self._config.max_drop,
            proven=not self._config.accept_unproven,
        )
        try:
            found = self.answers(bundle)
        except ProofError:  # what it answers is no number
            return failed
        subsets, unjudged = self._by_subset(found)
        return replace(
            failed,
            drops=self._drops(found.whole, None) | self._recall_drops(found.hits),
            subsets=subsets,
            unjudged=unjudged,
            confusions={
                name: confuse(task.labels, *compared)
                for name, task, compared in self._compared(found.whole, None)
                if isinstance(task, Classification)
            },
        )

    def _by_subset(
        self, found: Answered
    ) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, int]]]:
        """Tell what is lost in each subset, and which have too few clips to say so."""
        enough = clips_to_judge(self._config.max_drop)
        subsets: dict[str, dict[str, float]] = {}
        unjudged: dict[str, dict[str, int]] = {}
        for name, outputs in found.subsets.items():
            counts = {task: len(each[0]) for task, _, each in self._compared(outputs, name)}
            tasks = [task for task in self._tasks if task not in self._hits]
            few = {n: counts.get(n, 0) for n in tasks if counts.get(n, 0) < enough}
            unjudged |= {name: few} if few else {}
            drops = self._drops(outputs, name, bounded=False)
            subsets[name] = {task: drop.value for task, drop in drops.items() if task not in few}
        return subsets, unjudged

    def _drops(
        self, outputs: Mapping[str, Array], subset: str | None, *, bounded: bool = True
    ) -> dict[str, Drop]:
        """Compare task by task, but for those that are judged by their recall."""
        drops = {}
        for name, task, compared in self._compared(outputs, subset):
            if name not in self._hits:
                try:
                    drops[name] = paired_drop(
                        task,
                        *compared,
                        metric=self._metric(task),
                        seed=self._config.seed,
                        bounded=bounded,
                    )
                except ConfigError as exc:
                    if subset is None:  # the few of a subset may tell nothing
                        raise ConfigError(f"task {name!r}: {exc}") from exc
        return drops

    def _recall_drops(self, hits: Mapping[str, Bools]) -> dict[str, Drop]:
        """Compare who found their partners."""
        return {
            name: paired_hits(
                self._hits[name],
                found,
                metric=self._metric(self._tasks[name]) if name in self._labelled else "agreement",
                seed=self._config.seed,
            )
            for name, found in hits.items()
        }

    def _compared(
        self, outputs: Mapping[str, Array], subset: str | None
    ) -> Iterator[tuple[str, Task, tuple[Array, Array, Array | None]]]:
        """Choose what is compared: the samples with a label for the task, or all if none has.

        Yields:
            A task's name, itself, and of the same samples float32's answers, the candidate's,
            and the truths.
        """
        row = None if subset is None else self._subsets[subset]
        rows, reference = self.reference.rows(row), self.reference.outputs(row)
        for name, task in self._tasks.items():
            known, truths = self.prepared.truths(name)
            chosen, at, which = np.intersect1d(rows, known, return_indices=True)
            if name not in self._labelled:
                chosen, at = rows, np.arange(len(rows))
            if len(chosen):
                true = truths[which] if name in self._labelled else None
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
            if isinstance(task, Classification) and name in self._labelled:
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
