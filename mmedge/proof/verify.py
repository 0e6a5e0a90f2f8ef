"""Repeat the comparison with the trained model: any device, any backend, any plan."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mmedge.bundle import Bundle
from mmedge.errors import ArtefactError, ConfigError, ProofError
from mmedge.manifest import FRONT_END, TOKENS_MASK, Tolerance
from mmedge.proof.chains import chain_findings
from mmedge.proof.golden import Golden, Raw
from mmedge.proof.parity import Finding, Parity, compare
from mmedge.proof.subsets import row_name
from mmedge.proof.taps import with_output
from mmedge.proof.trust import load_golden, tolerance_of
from mmedge.runtime.backends import open_backend
from mmedge.runtime.predictor import Predictor

__all__ = ["BATCHES", "verify", "verify_opened"]

BATCHES = (1, 2, 5)
EXACT = Tolerance(absolute=0.0, relative=0.0)

Array = NDArray[np.generic]


def verify(
    bundle: Bundle,
    *,
    backend: str = "cpu",
    plan: str = "fp32",
    threads: int | None = None,
    golden: Golden | None = None,
) -> Parity:
    """Compare a bundle's graphs with its golden samples on this machine.

    Every point on the data's way is compared by itself, fed with the golden value before
    it, at batches of 1, 2 and 5; then the whole way from the raw inputs, for every
    subset of modalities, rows of one batch holding different subsets. Absent slots hold
    NaN, which has to change nothing.

    Args:
        bundle: what to prove.
        backend: what runs the graphs.
        plan: which of the bundle's plans.
        threads: CPU threads inside one operator.
        golden: samples to compare on; ``None`` takes those of the bundle.

    Raises:
        ArtefactError: a file of the bundle is damaged.
        IncompatibleError: the backend cannot run here.
        ProofError: a graph fails on the golden samples, or gives other shapes.
    """
    bundle.check()
    golden = load_golden(bundle) if golden is None else golden
    with Predictor(bundle, backend=backend, plan=plan, threads=threads, measure=False) as predictor:
        return verify_opened(predictor, golden)


def verify_opened(predictor: Predictor, golden: Golden) -> Parity:
    """Compare graphs as they are open, with the threads that they have; see `verify`."""
    bundle = predictor.bundle
    tolerance = tolerance_of(bundle, predictor.plan, predictor.kind)
    try:
        findings = [
            *_inputs(predictor, golden, tolerance),
            *_front_ends(predictor, golden, tolerance),
            *_encoders(predictor, golden, tolerance),
            *_chains(predictor, golden, tolerance),
            *_fusion(predictor, golden, tolerance),
            *_end_to_end(predictor, golden, tolerance),
        ]
    except ArtefactError as exc:  # it opened, so this is what it does with the samples
        raise ProofError(f"no comparison is possible: {exc}") from exc
    return Parity(
        findings=tuple(findings),
        backend=predictor.backend,
        plan=predictor.plan,
        tolerance=tolerance,
        inputs=bundle.manifest.golden.source,
        samples=golden.samples,
        notes=(str(predictor.choice),) if predictor.choice.why else (),
    )


def _inputs(predictor: Predictor, golden: Golden, tolerance: Tolerance) -> Iterator[Finding]:
    """What the model sees has to be the same to the bit, but for resampled sound."""
    for name, raws in golden.raw.items():
        for key, reference in golden.inputs[name].items():
            actual = np.stack([_prepare(predictor, name, raw)[key] for raw in raws])
            allowed = tolerance if reference.dtype.kind == "f" else EXACT
            yield compare(f"{name}/{key}", reference, actual, allowed, batch=len(raws))


def _prepare(predictor: Predictor, name: str, raw: Raw) -> dict[str, Array]:
    try:
        return predictor.prepare(name, raw)
    except ConfigError as exc:
        raise ArtefactError(f"the golden samples do not fit the model: {exc}") from exc


def _front_ends(predictor: Predictor, golden: Golden, tolerance: Tolerance) -> Iterator[Finding]:
    """Only where graphs are opened as ONNX files, which can be given one more output."""
    if predictor.kind != "cpu":
        return
    plan = predictor.manifest.plans[predictor.plan]
    for name, reference in golden.front_ends.items():
        model = with_output(predictor.bundle.read(plan.graphs[name]), FRONT_END)
        threads = predictor.threads[name]
        what = f"graph {name!r}"
        with open_backend(predictor.backend, model, what=what, threads=threads) as backend:
            for batch in BATCHES:
                for rows in _batches(len(reference), batch):
                    held = predictor.stream(name, batch).feeds(name, batch)
                    seen = {k: a[rows] for k, a in golden.inputs[name].items()}
                    out = backend.run({**seen, **held})
                    yield compare(
                        f"{name}/{FRONT_END}",
                        reference[rows],
                        out[FRONT_END],
                        tolerance,
                        batch=batch,
                        samples=rows.tolist(),
                    )


def _encoders(predictor: Predictor, golden: Golden, tolerance: Tolerance) -> Iterator[Finding]:
    for name, arrays in golden.inputs.items():
        for batch in BATCHES:
            for rows in _batches(golden.samples, batch):
                outputs = predictor.encode(name, {k: a[rows] for k, a in arrays.items()})
                for key, reference in golden.embeddings[name].items():
                    point = f"{name}/{'embedding' if key == name else TOKENS_MASK}"
                    yield compare(
                        point,
                        reference[rows],
                        outputs[key],
                        tolerance,
                        batch=batch,
                        samples=rows.tolist(),
                    )


def _chains(predictor: Predictor, golden: Golden, tolerance: Tolerance) -> Iterator[Finding]:
    for name, chain in golden.chains.items():
        yield from chain_findings(predictor, name, chain, tolerance, BATCHES)


def _fusion(predictor: Predictor, golden: Golden, tolerance: Tolerance) -> Iterator[Finding]:
    stored = {k: array for each in golden.embeddings.values() for k, array in each.items()}
    yield from _subsets(predictor, golden, stored, "fusion", tolerance)
    # Absent slots with NaN against absent slots with zeros: the same to the bit.
    clean, dirty = (_fuse_all(predictor, golden, stored, 5, fill) for fill in (0.0, np.nan))
    for task in golden.outputs:
        yield compare(
            f"absent slots/{task}",
            clean[task],
            dirty[task],
            EXACT,
            batch=5,
            samples=_owners(golden),
        )


def _end_to_end(predictor: Predictor, golden: Golden, tolerance: Tolerance) -> Iterator[Finding]:
    made: dict[str, Array] = {}
    for name, raws in golden.raw.items():
        prepared = [_prepare(predictor, name, raw) for raw in raws]
        stacked = {key: np.stack([one[key] for one in prepared]) for key in prepared[0]}
        made |= predictor.encode(name, stacked)
    yield from _subsets(predictor, golden, made, "end to end", tolerance)


def _subsets(
    predictor: Predictor,
    golden: Golden,
    embeddings: dict[str, Array],
    point: str,
    tolerance: Tolerance,
) -> Iterator[Finding]:
    names = predictor.manifest.presence
    for batch in BATCHES:
        outputs = _fuse_all(predictor, golden, embeddings, batch, np.nan)
        for task, reference in golden.outputs.items():
            actual = outputs[task].reshape(reference.shape[:2] + outputs[task].shape[1:])
            for row, want, came in zip(golden.presence, reference, actual, strict=True):
                subset = row_name(names, row)
                yield compare(f"{point}/{task}", want, came, tolerance, subset=subset, batch=batch)


def _fuse_all(
    predictor: Predictor,
    golden: Golden,
    embeddings: dict[str, Array],
    batch: int,
    fill: float,
) -> dict[str, Array]:
    """Run the head over every subset of every sample, ``[R * S, K]``, batch by batch."""
    names = predictor.manifest.presence
    presence = np.repeat(golden.presence, golden.samples, axis=0)
    owner = np.array(_owners(golden))
    parts: list[dict[str, Array]] = []
    for rows in _batches(len(presence), batch):
        feeds = {}
        for column, name in enumerate(names):
            for key in predictor.manifest.encoder_outputs(name).values():
                feeds[key] = _spoil(embeddings[key][owner[rows]], presence[rows, column], fill)
        parts.append(predictor.fuse(feeds, presence[rows]))
    return {task: np.concatenate([p[task] for p in parts])[: len(presence)] for task in parts[0]}


def _spoil(array: Array, present: NDArray[np.bool_], fill: float) -> Array:
    """Put garbage where nothing is; a mask's garbage is that every token counts."""
    garbage: Array = array.copy()
    garbage[~present] = True if array.dtype == np.bool_ else fill
    return garbage


def _owners(golden: Golden) -> list[int]:
    return list(range(golden.samples)) * len(golden.presence)


def _batches(count: int, batch: int) -> Iterator[NDArray[np.intp]]:
    """Give row numbers in batches of exactly ``batch``; the last begins again at row 0."""
    for begin in range(0, count, batch):
        yield np.arange(begin, begin + batch) % count
