"""What a model answers to prepared samples: each different input encoded once, any subset fused.

Embeddings are kept by the graph that made them, so that of two plans that share a graph the
second one costs nothing there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ResourceError
from mmedge.manifest import FUSION
from mmedge.proof.data import Prepared
from mmedge.runtime.prediction import refuse_nan
from mmedge.runtime.predictor import Predictor

__all__ = ["Answers", "EmbeddingStore"]

Array = NDArray[np.generic]
Bools = NDArray[np.bool_]
ENCODED = 32
"""Inputs encoded per call."""
FUSED = 128
"""Samples fused per call."""
_CHUNK_BYTES = 2**20


class EmbeddingStore:
    """Embeddings of one set of samples, on disk, by the graph that made them.

    Args:
        prepared: the samples.
        folder: where to keep the embeddings; the caller removes it.
        on_progress: told the share of a graph's inputs that is encoded, 0..1.
    """

    def __init__(
        self,
        prepared: Prepared,
        folder: Path,
        on_progress: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.prepared = prepared
        self._folder = folder
        self._on_progress = on_progress
        self._made: dict[tuple[str, str, bool], dict[str, Array]] = {}

    def of(self, predictor: Predictor) -> dict[str, Array]:
        """Give fusion input -> ``[U, ...]``, one row for each different input of its modality.

        Raises:
            ResourceError: the disk is full.
        """
        arrays: dict[str, Array] = {}
        for modality in predictor.manifest.presence:
            key = _key(predictor, modality)
            if key not in self._made:
                self._made[key] = self._encode(predictor, modality, len(self._made))
            arrays |= self._made[key]
        return arrays

    def forget(self, predictor: Predictor) -> None:
        """Drop what only this plan's graphs made; a search tries many and keeps few."""
        graphs = predictor.manifest.plans["fp32"].graphs
        for modality in predictor.manifest.presence:
            key = _key(predictor, modality)
            if key[1] != graphs[modality].sha256 and key in self._made:
                for array in self._made.pop(key).values():
                    if isinstance(array, np.memmap):
                        Path(str(array.filename)).unlink(missing_ok=True)

    def _encode(self, predictor: Predictor, modality: str, number: int) -> dict[str, Array]:
        """Encode every different input of a modality, in their order."""
        count = self.prepared.unique(modality)
        specs = {spec.name: spec for spec in predictor.manifest.graphs[FUSION].inputs}
        made: dict[str, Array] = {}
        for name in predictor.manifest.encoder_outputs(modality).values():
            sizes = [size for size in specs[name].shape[1:] if isinstance(size, int)]
            made[name] = self._file(f"{number}-{name}", (count, *sizes), specs[name].dtype)
        done = 0
        for rows, windows in self.prepared.walks(modality, None, ENCODED):
            state = predictor.stream(modality, len(rows))
            for window in windows:  # of an encoder that remembers, the last one counts
                for name, array in predictor.encode(modality, window, state=state).items():
                    made[name][rows] = array
            done += len(rows)
            self._on_progress(done / count)
        return made

    def _file(self, name: str, shape: tuple[int, ...], dtype: str) -> Array:
        if shape[0] == 0:
            return np.empty(shape, dtype)
        path = self._folder / f"{name}.dat"
        try:
            _reserve(path, np.dtype(dtype).itemsize * math.prod(shape))
            return np.memmap(path, dtype=dtype, mode="r+", shape=shape)
        except OSError as exc:
            raise ResourceError(
                f"the embeddings cannot be kept in {self._folder}: {exc.strerror or exc}; make "
                "room, or set TMPDIR to a larger disk"
            ) from exc


def _reserve(path: Path, size_bytes: int) -> None:
    """Write zeros: writing to a mapped file that the disk has no room for kills the process."""
    with path.open("wb") as file:
        for begin in range(0, size_bytes, _CHUNK_BYTES):
            file.write(bytes(min(_CHUNK_BYTES, size_bytes - begin)))


@dataclass(frozen=True, slots=True)
class Answers:
    """What a plan answers to one set of samples.

    Attributes:
        predictor: the plan, open.
        store: the samples' embeddings.
    """

    predictor: Predictor
    store: EmbeddingStore
    _fused: dict[bytes, dict[str, Array]] = field(default_factory=dict)

    def rows(self, subset: Bools | None = None) -> NDArray[np.int64]:
        """Give the samples that have all modalities of a subset; all of them without one."""
        have = self.store.prepared.presence
        wanted = np.ones(len(have), bool) if subset is None else (have | ~subset).all(axis=1)
        return np.flatnonzero(wanted & have.any(axis=1))

    def presence(self, subset: Bools | None = None) -> Bools:
        """Give what counts in each of the samples that `rows` gives, ``[K, M]``."""
        have = self.store.prepared.presence[self.rows(subset)]
        return have if subset is None else have & subset

    def truths(
        self, task: str, subset: Bools | None = None, among: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], Array]:
        """Give the labels of a task.

        Args:
            task: its name.
            subset: as `rows` takes it.
            among: these samples only.

        Returns:
            Where in `outputs` the samples with a label are, and what it is, ``[L, ...]``.
        """
        known, truths = self.store.prepared.truths(task, among)
        _, at, which = np.intersect1d(self.rows(subset), known, return_indices=True)
        return at, truths[which]

    def outputs(self, subset: Bools | None = None) -> dict[str, Array]:
        """Fuse the samples that `rows` gives.

        Args:
            subset: bool ``[M]``: what counts; ``None`` counts what each sample has.

        Returns:
            task -> ``[K, ...]``, what the head gave for each of the samples.

        Raises:
            ProofError: the head answers with NaN or infinity.
        """
        key = b"" if subset is None else subset.tobytes()
        if key not in self._fused:
            self._fused[key] = self._fuse(self.rows(subset), subset)
        return self._fused[key]

    def _fuse(self, rows: NDArray[np.int64], subset: Bools | None) -> dict[str, Array]:
        manifest, prepared = self.predictor.manifest, self.store.prepared
        embeddings = self.store.of(self.predictor)
        present = self.presence(subset)
        inputs = {name: prepared.index(name)[rows] for name in manifest.presence}
        parts: list[dict[str, Array]] = []
        for begin in range(0, len(rows), FUSED):
            some = slice(begin, begin + FUSED)
            presence = present[some]
            feeds: dict[str, Array] = {}
            for column, modality in enumerate(manifest.presence):
                index = np.where(presence[:, column], inputs[modality][some], -1)
                for name in manifest.encoder_outputs(modality).values():
                    feeds[name] = _gather(embeddings[name], index)
            outputs = self.predictor.fuse(feeds, presence)
            refuse_nan(outputs)
            # A backend may write the next outputs over these.
            parts.append({task: np.array(output) for task, output in outputs.items()})
        if not parts:
            return {task: np.empty((0, *spec.shape)) for task, spec in manifest.tasks.items()}
        return {task: np.concatenate([part[task] for part in parts]) for task in parts[0]}


def _gather(table: Array, index: NDArray[np.int64]) -> Array:
    """Rows of a table; zeros where the index is -1."""
    rows = np.zeros((len(index), *table.shape[1:]), table.dtype)
    rows[index >= 0] = table[index[index >= 0]]
    return rows


def _key(predictor: Predictor, modality: str) -> tuple[str, str, bool]:
    """What an embedding depends on: in float32 nothing is simulated."""
    plans = predictor.manifest.plans
    ref = plans[predictor.plan].graphs[modality]
    plain = ref == plans["fp32"].graphs[modality]
    return modality, ref.sha256, predictor.simulated and not plain
