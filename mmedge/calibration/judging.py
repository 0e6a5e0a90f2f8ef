"""Runs candidates on samples that their ranges were not made from, beside float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmedge.bundle import Bundle
from mmedge.calibration.candidate import CANDIDATE, Candidate
from mmedge.calibration.config import CalibrateConfig
from mmedge.calibration.confusion import confuse
from mmedge.calibration.sensitivity import noise_of
from mmedge.calibration.trial import Trial, clips_to_judge
from mmedge.errors import ConfigError, ProofError
from mmedge.proof.answers import Answers, EmbeddingStore
from mmedge.proof.comparing import Comparison
from mmedge.proof.data import Prepared
from mmedge.proof.paired import Drop
from mmedge.proof.subsets import presence_rows, row_name
from mmedge.proof.temperatures import fit_temperatures
from mmedge.runtime.predictor import Predictor
from mmedge.specs import Classification

__all__ = ["Judge"]

SPOILED = 1e6
"""The noise of a candidate that answers with NaN or infinity: more than any other's."""


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
        self._subsets = {
            row_name(bundle.manifest.presence, row): row
            for row in presence_rows(bundle.manifest.presence)[1:-1]
        }
        with Predictor(bundle, plan="fp32") as predictor:
            reference = Answers(predictor, self._store)
            self._beside = Comparison(reference, config.metric, config.seed)
            for row in (None, *self._subsets.values()) if judges else (None,):
                reference.outputs(row)
            if judges:  # what these samples cannot tell shows beside itself
                self._drops(reference, bounded=False)
        self._few = self._too_few() if judges else {}

    @contextmanager
    def _asked(self, bundle: Bundle) -> Iterator[Answers]:
        """Open the candidate plan of a bundle; nothing of it is kept."""
        with Predictor(bundle, plan=CANDIDATE) as predictor:
            try:
                yield Answers(predictor, self._store)
            finally:
                self._store.forget(predictor)

    def noise(self, bundle: Bundle) -> float:
        """Tell how far the candidate plan of a bundle answers from float32 (`noise_of`)."""
        with self._asked(bundle) as answers:
            try:
                return noise_of(self._beside.reference.outputs(), answers.outputs())
            except ProofError:
                return SPOILED

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
        with self._asked(bundle) as answers:
            try:
                drops = self._drops(answers)
                subsets = self._by_subset(answers)
            except ProofError:  # what it answers is no number
                return failed
            return replace(
                failed,
                drops=drops,
                subsets=subsets,
                unjudged=self._few,
                confusions={
                    name: confuse(task.labels, *self._beside.compared(answers, name))
                    for name, task in self._tasks.items()
                    if isinstance(task, Classification)
                },
            )

    def _drops(self, answers: Answers, *, bounded: bool = True) -> dict[str, Drop]:
        """Compare task by task, with everything present that a sample has."""
        return {name: self._drop(answers, name, bounded=bounded) for name in self._tasks}

    def _drop(self, answers: Answers, task: str, *, bounded: bool) -> Drop:
        try:
            return self._beside.drop(answers, task, bounded=bounded)
        except ConfigError as exc:
            raise ConfigError(f"task {task!r}: {exc}") from exc

    def _by_subset(self, answers: Answers) -> dict[str, dict[str, float]]:
        """Tell what is lost in each subset that has enough clips."""
        subsets: dict[str, dict[str, float]] = {}
        for subset, row in self._subsets.items():
            answers.outputs(row)  # which is to be numbers, however few
            subsets[subset] = {}
            for name in self._tasks:
                if name not in self._few.get(subset, ()) and not self._beside.searches(name):
                    with suppress(ConfigError):  # the clips of a subset may be all of a kind
                        drop = self._beside.drop(answers, name, row, bounded=False)
                        subsets[subset][name] = drop.value
        return subsets

    def _too_few(self) -> dict[str, dict[str, int]]:
        """Count the clips of each subset and task that are too few to judge it by."""
        reference, enough = self._beside.reference, clips_to_judge(self._config.max_drop)
        few: dict[str, dict[str, int]] = {}
        for subset, row in self._subsets.items():
            for name in self._tasks:
                count = len(self._beside.compared(reference, name, row)[0])
                if count < enough and not self._beside.searches(name):
                    few.setdefault(subset, {})[name] = count
        return few

    def temperatures(self, bundle: Bundle) -> dict[str, dict[str, float]]:
        """Fit how sure the candidate plan is, task by task and subset by subset.

        Returns:
            task -> subset -> temperature, as a plan keeps them; without labels nothing.
        """
        full = np.ones(len(bundle.manifest.presence), bool)
        rows = {"+".join(bundle.manifest.presence): full, **self._subsets}
        with self._asked(bundle) as answers:
            fitted = {}
            for name, task in self._tasks.items():
                if isinstance(task, Classification) and name not in self.prepared.unlabelled:
                    known = {}
                    for subset, row in rows.items():
                        outputs = answers.outputs(None if row is full else row)[name]
                        # What has less than everything is among the whole, but not of this subset.
                        having = np.flatnonzero((self.prepared.presence | ~row).all(axis=1))
                        at, truths = answers.truths(name, None if row is full else row, having)
                        known[subset] = outputs[at], truths
                    fitted[name] = fit_temperatures(task, known)
            return fitted
