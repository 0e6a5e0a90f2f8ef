"""One prediction, stage by stage, and once more as a whole."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.manifest import FUSION
from mmedge.runtime.predictor import Predictor

__all__ = ["ENCODE", "PREPARE", "WHOLE", "Stages"]

PREPARE, ENCODE, WHOLE = "prepare", "encode", "whole"
LEAST, MOST = 4, 300
"""Predictions of one turn, the first of which is not counted."""

Array = NDArray[np.generic]


class Stages:
    """Runs the stages of a predictor on raw samples, in turn.

    Args:
        predictor: open, and warm.
        samples: raw inputs by modality, each with all of them.
    """

    def __init__(self, predictor: Predictor, samples: Sequence[Mapping[str, Any]]) -> None:
        self._predictor = predictor
        self._samples: Iterator[Mapping[str, Any]] = cycle(samples)
        names = predictor.manifest.presence
        self._presence = np.ones((1, len(names)), np.bool_)

    def turn(self, turn_ms: float) -> dict[str, list[int]]:
        """Predict for so long, three times at least.

        Returns:
            stage -> nanoseconds, prediction by prediction: ``prepare NAME`` and ``encode
            NAME`` of each modality, ``fusion`` (one row), and ``whole``, from raw inputs to
            the prediction with its contributions.
        """
        taken: dict[str, list[int]] = {}
        end_ns = time.perf_counter_ns() + round(turn_ms * 1e6)
        for number in range(MOST):
            for stage, took_ns in self._once(next(self._samples)).items():
                taken.setdefault(stage, []).append(took_ns)
            if number + 1 >= LEAST and time.perf_counter_ns() >= end_ns:
                break
        # Before the first another process had the caches.
        return {stage: each[1:] for stage, each in taken.items()}

    def _once(self, sample: Mapping[str, Any]) -> dict[str, int]:
        """Nanoseconds of each stage."""
        predictor, took = self._predictor, dict[str, int]()
        embeddings: dict[str, Array] = {}
        for name in predictor.manifest.presence:
            begin_ns = time.perf_counter_ns()
            made = predictor.prepare(name, sample[name])
            feeds = {key: array[None] for key, array in made.items()}
            ready_ns = time.perf_counter_ns()
            embeddings |= predictor.encode(name, feeds)
            took[f"{PREPARE} {name}"] = ready_ns - begin_ns
            took[f"{ENCODE} {name}"] = time.perf_counter_ns() - ready_ns
        begin_ns = time.perf_counter_ns()
        predictor.fuse(embeddings, self._presence)
        took[FUSION] = time.perf_counter_ns() - begin_ns
        begin_ns = time.perf_counter_ns()
        predictor.predict(sample)
        took[WHOLE] = time.perf_counter_ns() - begin_ns
        return took
