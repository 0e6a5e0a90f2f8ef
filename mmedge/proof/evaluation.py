"""Every task's metrics on labelled samples, for every subset of modalities."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ConfigError
from mmedge.proof.answers import Answers, EmbeddingStore
from mmedge.proof.data import Sample, prepare_samples
from mmedge.proof.subsets import presence_rows, row_name
from mmedge.proof.tally import Tally
from mmedge.runtime.predictor import Predictor

__all__ = ["SubsetMetrics", "evaluate", "tally_subset"]

Array = NDArray[np.generic]
Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetMetrics:
    """How good the answers to a task are with only these modalities present.

    Attributes:
        task: which task.
        present: the subset, such as ``camera+mic``.
        samples: samples that had all modalities of the subset and a label.
        metrics: those of the task's kind by name, see `mmedge.proof.tally`. One that these
            samples cannot tell is left out.
    """

    task: str
    present: str
    samples: int
    metrics: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        rounded = {name: round(value, 6) for name, value in self.metrics.items()}
        return {**asdict(self), "metrics": rounded}


def evaluate(
    predictor: Predictor, samples: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> list[SubsetMetrics]:
    """Answer labelled samples with every non-empty subset of the modalities.

    Each sample is prepared once, kept in a temporary folder, and encoded once. A
    classification's threshold plays no part: the most probable label counts.

    Args:
        predictor: an open bundle.
        samples: pairs of raw inputs by modality, and labels by task; those that a task
            takes are in `mmedge.runtime.clips.labels`. A task may have none.

    Raises:
        ConfigError: an input or a label that cannot be, or no labelled sample.
        ProofError: the head answers with NaN or infinity.
        ResourceError: the disk for temporary files is full.
    """
    manifest = predictor.manifest
    with tempfile.TemporaryDirectory(prefix="mmedge-evaluate-") as scratch:
        prepared = prepare_samples(
            _numbered(samples, manifest.presence),
            predictor.prepare,
            manifest,
            Path(scratch, "samples"),
        )
        if prepared.skipped:
            raise ConfigError(prepared.skipped[0])
        if not any(len(prepared.truths(task)[0]) for task in manifest.tasks):
            raise ConfigError(
                f"no sample has a label for any of the tasks {sorted(manifest.tasks)}"
            )
        store = EmbeddingStore(prepared, Path(scratch))
        found = []
        for row in presence_rows(manifest.presence)[:-1]:  # the last one is the empty set
            tallies = tally_subset(Answers(predictor, store), row)
            found += [
                SubsetMetrics(
                    task=task,
                    present=row_name(manifest.presence, row),
                    samples=len(tally),
                    metrics=tally.metrics(),
                )
                for task, tally in tallies.items()
            ]
    order = list(manifest.tasks)
    return sorted(found, key=lambda each: order.index(each.task))


def tally_subset(
    answers: Answers, subset: Bools | None = None, among: Rows | None = None
) -> dict[str, Tally]:
    """Count what a plan answers with one subset of the modalities.

    Args:
        answers: of the plan to the samples.
        subset: bool ``[M]``; ``None`` counts what each sample has.
        among: these samples only.

    Returns:
        task -> its tally; none for a task that no sample has a label for.
    """
    predictor = answers.predictor
    outputs, presence = answers.outputs(subset), answers.presence(subset)
    tallies = {}
    for name, task in predictor.manifest.tasks.items():
        at, truths = answers.truths(name, subset, among)
        if len(at):
            temperature = predictor.temperatures.of(name, task, presence[at])
            tallies[name] = Tally(task)
            tallies[name].add(outputs[name][at], truths, temperature)
    return tallies


def _numbered(
    samples: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]], known: tuple[str, ...]
) -> Iterable[Sample]:
    for number, (raws, labels) in enumerate(samples, start=1):
        strange = sorted(set(raws) - set(known))
        if strange:
            raise ConfigError(
                f"the model has no modality {strange[0]!r}; it has {', '.join(known)}"
            )
        there = {name: raw for name, raw in raws.items() if raw is not None}
        yield Sample(where=f"sample {number}", raws=there, labels=labels)
