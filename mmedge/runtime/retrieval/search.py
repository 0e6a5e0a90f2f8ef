"""Retrieval: fill a gallery, and find in it what is like a query.

The score of a text and a picture is the logit that the fusion head gives this pair, and
nothing else present, for the matching task between the two; so a dual encoder scores by its
scaled cosine, and any other head by its own way. Two of the same modality, which no head
compares, are scored by the cosine of what their encoder gives.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ConfigError, ProofError
from mmedge.manifest import Manifest
from mmedge.runtime.pairs import pair_logits
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.retrieval.gallery import MAX_NAME, Gallery, Table, check_size
from mmedge.runtime.retrieval.items import Item
from mmedge.specs import Matching

__all__ = ["COSINE", "Hit", "build_gallery", "search"]

_log = logging.getLogger(__name__)

COSINE = "cosine"
BATCH = 16

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Something found.

    Attributes:
        name: of the entry; of a file with several windows only the best one is a hit.
        modality: in which it was found.
        end_ns: where in its file the window ends; 0 if nothing moves.
        score: the larger, the closer; what it is, ``measure`` says.
        measure: a matching task, whose logit the score is (above 0: they belong together),
            or ``"cosine"``.
    """

    name: str
    modality: str
    end_ns: int
    score: float
    measure: str

    def to_json(self) -> dict[str, Any]:
        """Give plain types, for a line of JSON."""
        return {
            "name": self.name,
            "modality": self.modality,
            "end_ms": self.end_ns / 1e6,
            "score": round(self.score, 6),
            "measure": self.measure,
        }


class _Way(NamedTuple):
    """How to compare: the query's modality, the entries', and the measure."""

    asked: str
    searched: str
    measure: str


def build_gallery(
    predictor: Predictor, items: Iterable[Item], on_count: Callable[[int], None] = lambda _: None
) -> Gallery:
    """Encode items and keep their embeddings.

    Args:
        predictor: an open bundle.
        items: what to put in.
        on_count: told now and then how many items are done.

    Raises:
        ConfigError: nothing to put in, or an input that is not what its modality expects.
        ProofError: an encoder answers with NaN or infinity.
        ResourceError: more than 512 MiB of embeddings.
    """
    names: dict[str, list[str]] = {}
    ends_ns: dict[str, list[int]] = {}
    parts: dict[str, list[dict[str, Array]]] = {}
    iterator, done, size_bytes = iter(items), 0, 0
    while batch := list(islice(iterator, BATCH)):
        embedded = predictor.embed([item.inputs for item in batch])
        for modality in predictor.manifest.presence:
            rows = [i for i, item in enumerate(batch) if item.inputs.get(modality) is not None]
            if not rows:
                continue
            keys = predictor.manifest.encoder_outputs(modality).values()
            part = {key: embedded[key][rows] for key in keys}
            _refuse_nan(modality, part, [batch[row].name for row in rows])
            size_bytes += sum(array.nbytes for array in part.values())
            check_size(size_bytes)
            parts.setdefault(modality, []).append(part)
            names.setdefault(modality, []).extend(_printable(batch[row].name) for row in rows)
            ends_ns.setdefault(modality, []).extend(batch[row].end_ns for row in rows)
        done += len(batch)
        on_count(done)
    if not parts:
        raise ConfigError("there is nothing to put into the gallery; give files or texts")
    tables = {
        modality: Table(
            names=tuple(names[modality]),
            end_ns=np.array(ends_ns[modality], np.int64),
            embeddings={key: np.concatenate([each[key] for each in some]) for key in some[0]},
        )
        for modality, some in parts.items()
    }
    return Gallery(bundle=predictor.bundle.digest, plan=predictor.plan, tables=tables)


def search(
    predictor: Predictor,
    gallery: Gallery,
    query: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    top: int = 5,
    among: str | None = None,
) -> list[Hit]:
    """Find the entries that are closest to a query, the best first.

    Args:
        predictor: the bundle that made the gallery, open.
        gallery: what to search.
        query: raw inputs by modality; of several windows the closest counts.
        top: how many hits at most.
        among: modality of the entries; where it is left out, the one that a matching task
            compares with the query's, else the query's own.

    Raises:
        ConfigError: the query cannot be compared with the entries, or in several ways.
        IncompatibleError: another bundle made the gallery.
        ProofError: the head answers with NaN or infinity.
    """
    if top < 1:
        raise ConfigError(f"top={top} hits cannot be found; ask for 1 or more")
    gallery.check_bundle(predictor.bundle)
    if gallery.plan != predictor.plan:
        _log.warning(
            "the gallery was encoded in plan %s, the query in %s", gallery.plan, predictor.plan
        )
    windows = [query] if isinstance(query, Mapping) else list(query)
    given = {name for window in windows for name, raw in window.items() if raw is not None}
    way = _choose(predictor.manifest, given, gallery, among)
    table = gallery.tables[way.searched]
    scores = np.full(len(table.names), -np.inf)
    for window in windows:
        if window.get(way.asked) is not None:
            one = predictor.embed([{way.asked: window[way.asked]}])
            scores = np.maximum(scores, _scores(predictor, one, table, way))
    return _best(table, scores, way, top)


def _printable(name: str) -> str:
    """Escape what a terminal would obey, and cut what is longer than a name."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in name[: MAX_NAME + 1])
    return shown if len(shown) <= MAX_NAME else f"{shown[: MAX_NAME - 3]}..."


def _refuse_nan(modality: str, part: Mapping[str, Array], names: Sequence[str]) -> None:
    for row, name in enumerate(names):
        if not all(np.isfinite(array[row]).all() for array in part.values()):
            raise ProofError(
                f"the encoder of {modality!r} answers {_printable(name)} with NaN or infinity. "
                "Is it in the range that the model was trained on?"
            )


def _choose(manifest: Manifest, given: set[str], gallery: Gallery, among: str | None) -> _Way:
    if among is not None and among not in gallery.tables:
        raise ConfigError(f"the gallery has no {among!r}; it has {', '.join(gallery.tables)}")
    searched = [among] if among is not None else list(gallery.tables)
    pairs = {
        name: set(task.between)
        for name, task in manifest.tasks.items()
        if isinstance(task, Matching)
    }
    ways = [
        _Way(asked, other, name)
        for asked in sorted(given)
        for other in searched
        for name, pair in pairs.items()
        if pair == {asked, other}
    ] or [_Way(name, name, COSINE) for name in searched if name in given]
    if len(ways) == 1:
        return ways[0]
    here = f"the query has {', '.join(sorted(given))}, the gallery {', '.join(gallery.tables)}"
    if ways:
        listed = ", ".join(f"{way.asked} with {way.searched} ({way.measure})" for way in ways)
        raise ConfigError(
            f"{here}: they can be compared in several ways, {listed}. Say which: name the "
            "query's modality (NAME=FILE), and the entries' (--among NAME)"
        )
    tasks = ", ".join(" with ".join(sorted(pair)) for pair in pairs.values())
    has = f"Its matching tasks compare {tasks}" if tasks else "It has no matching task"
    raise ConfigError(
        f"{here}: the model cannot compare these. {has}; otherwise only entries of the query's "
        "own modality can be searched"
    )


def _scores(
    predictor: Predictor, one: Mapping[str, Array], table: Table, way: _Way
) -> NDArray[np.float64]:
    """Score every entry ``[N]``; ``one`` is the query's embedding, ``[1, ...]``."""
    if way.measure == COSINE:
        return _cosines(way.searched, one, table.embeddings)
    presence = np.array([name in (way.asked, way.searched) for name in predictor.manifest.presence])
    return pair_logits(way.measure, one, table.embeddings, presence, predictor.fuse)


def _cosines(
    modality: str, one: Mapping[str, Array], many: Mapping[str, Array]
) -> NDArray[np.float64]:
    query, entries = _pooled(modality, one)[0], _pooled(modality, many)
    lengths = np.sqrt(np.einsum("nd,nd->n", entries, entries)) * np.linalg.norm(query)
    # What has no direction is at a right angle to all.
    cosines = np.where(lengths == 0, 0, entries @ query / np.where(lengths == 0, 1, lengths))
    return cosines.astype(np.float64)


def _pooled(modality: str, embeddings: Mapping[str, Array]) -> NDArray[np.float32]:
    """Give embeddings ``[N, D]``; tokens are averaged over those that count."""
    values = np.asarray(embeddings[modality], np.float32)
    if values.ndim == 2:
        return values
    mask = embeddings.get(f"{modality}_mask", np.ones(values.shape[:2], bool))
    weights = mask.astype(np.float32)
    means = np.einsum("ntd,nt->nd", values, weights) / np.maximum(weights.sum(axis=1), 1)[:, None]
    return np.asarray(means, np.float32)


def _best(table: Table, scores: NDArray[np.float64], way: _Way, top: int) -> list[Hit]:
    """Take the best windows, one of each name."""
    hits: dict[str, Hit] = {}
    for row in np.argsort(-scores, kind="stable").tolist():
        name = table.names[row]
        if name not in hits:
            hits[name] = Hit(
                name=name,
                modality=way.searched,
                end_ns=int(table.end_ns[row]),
                score=float(scores[row]),
                measure=way.measure,
            )
        if len(hits) == top:
            break
    return list(hits.values())
