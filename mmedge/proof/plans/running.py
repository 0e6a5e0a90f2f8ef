"""From a bundle and labelled samples to what its plans are worth."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from mmedge.bundle import Bundle, open_bundle
from mmedge.errors import ConfigError, IncompatibleError
from mmedge.manifest import FUSION
from mmedge.proof.answers import EmbeddingStore
from mmedge.proof.choosing import check_metric
from mmedge.proof.data import Prepared, prepare_samples, read_samples
from mmedge.proof.plans.config import EvalConfig
from mmedge.proof.plans.found import Evaluation, PlanFound, Row
from mmedge.proof.plans.judging import AS_GIVEN, REFERENCE, Judge
from mmedge.proof.plans.seen import seen_by_calibration
from mmedge.proof.plans.timing import Times, time_plans
from mmedge.proof.saying import Say, Teller, seldom
from mmedge.runtime.backends.instructions import this_cpu
from mmedge.runtime.predictor import Predictor
from mmedge.specs.plan import plan_named

__all__ = ["evaluate_plans"]


def evaluate_plans(config: EvalConfig, say: Say = lambda _: None) -> Evaluation:
    """Judge every plan on the same samples, with every subset of modalities.

    Args:
        config: what to evaluate.
        say: told what is under way.

    Raises:
        ConfigError: no such plan, column or metric, or data that cannot be.
        ArtefactError: a line or a label is not what it has to be.
        SourceError: the data cannot be read.
        IncompatibleError: a plan that was asked for cannot run here.
        ProofError: a head answers with NaN or infinity.
        ResourceError: the disk for temporary files is full.
    """
    say = Teller(say)
    bundle = open_bundle(config.bundle)
    check_metric(config.metric, bundle.manifest.tasks)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mmedge-eval-")))
        predictors, notes = _open(bundle, config, stack)
        prepared = _prepare(config, predictors[REFERENCE], scratch, say)
        notes += filter(None, [seen_by_calibration(bundle, prepared)])
        judge = Judge(config, predictors, _store(prepared, scratch, say))
        _refuse_silence(judge)
        rows: list[Row] = []
        for present, subset in judge.subsets.items():
            say(f"answers to {present}")
            rows += judge.rows(present, subset)
        if config.by:
            say(f"answers by {config.by}")
        slices = judge.slices(config.by) if config.by else []
        say("latency")
        return Evaluation(
            backend=config.backend,
            machine=this_cpu().name,
            samples=len(prepared),
            skipped=tuple(prepared.skipped),
            labelled=judge.labelled,
            tasks=bundle.manifest.tasks,
            unlabelled=judge.unlabelled,
            max_drop=config.max_drop,
            whole=next(iter(judge.subsets)),
            plans=_plans_found(judge),
            rows=tuple(rows),
            by=config.by,
            slices=tuple(slices),
            notes=tuple(notes),
        )


def _open(
    bundle: Bundle, config: EvalConfig, stack: ExitStack
) -> tuple[dict[str, Predictor], list[str]]:
    """Open ``fp32``, and the plans that are meant; of all of them, those that run here."""
    plans = bundle.manifest.plans
    for name in config.plans:
        plan_named(plans, name)
    opened: dict[str, Predictor] = {}
    notes: list[str] = []
    for name in dict.fromkeys((REFERENCE, *(config.plans or plans))):
        needed = name in (REFERENCE, *config.plans)
        with contextlib.nullcontext() if needed else _noting(name, notes):
            predictor = Predictor(bundle, backend=config.backend, plan=name)
            opened[name] = stack.enter_context(predictor)
    return opened, notes


@contextlib.contextmanager
def _noting(plan: str, notes: list[str]) -> Iterator[None]:
    """Note a plan that cannot run here, and go on."""
    try:
        yield
    except IncompatibleError as exc:
        notes.append(f"plan {plan} was left out: {exc}")


def _prepare(config: EvalConfig, predictor: Predictor, scratch: Path, say: Say) -> Prepared:
    say("samples")
    told = seldom(say)
    prepared = prepare_samples(
        read_samples(config.data, predictor.manifest),
        predictor.prepare,
        predictor.manifest,
        scratch / "samples",
        lambda seen: told(f"samples: {seen}"),
    )
    if config.by is not None and config.by not in prepared.columns:
        has = ", ".join(prepared.columns) or "none"
        raise ConfigError(f"the clips have no column {config.by!r} to judge by; they have {has}")
    return prepared


def _store(prepared: Prepared, scratch: Path, say: Say) -> EmbeddingStore:
    told = seldom(say)
    return EmbeddingStore(prepared, scratch, lambda share: told(f"encoded: {share:.0%}"))


def _refuse_silence(judge: Judge) -> None:
    """Refuse to evaluate what nothing can be said of."""
    if not judge.labelled and len(judge.predictors) == 1:
        raise ConfigError(
            "the clips have no labels, and there is no plan beside fp32 to compare with it: "
            "nothing can be said. Add labels, or calibrate first."
        )


def _plans_found(judge: Judge) -> tuple[PlanFound, ...]:
    """Time the plans that are not simulated, and weigh all."""
    prepared, predictors = judge.store.prepared, judge.predictors
    names = prepared.modalities
    subsets = {
        present: names if subset is None else tuple(np.array(names)[subset].tolist())
        for present, subset in judge.subsets.items()
    }
    timed = time_plans({n: p for n, p in predictors.items() if not p.simulated}, prepared)
    return tuple(_plan_found(each, subsets, timed) for each in predictors.values())


def _plan_found(
    predictor: Predictor, subsets: Mapping[str, Sequence[str]], timed: Mapping[str, Times]
) -> PlanFound:
    plan = predictor.manifest.plans[predictor.plan]
    found: dict[str, dict[str, float]] = {"latency_ms": {}, "ratio": {}}
    for present, names in subsets.items():
        if predictor.plan in timed and present != AS_GIVEN:
            mine, reference = (
                np.sum([timed[name][graph] for graph in (*names, FUSION)], axis=0)
                for name in (predictor.plan, REFERENCE)
            )
            found["latency_ms"][present] = float(np.median(mine))
            found["ratio"][present] = float(np.median(mine / reference))
    return PlanFound(
        plan=predictor.plan,
        precision=plan.precision,
        target=plan.target,
        simulated=predictor.simulated,
        bytes={
            present: sum(plan.graphs[graph].bytes for graph in (*names, FUSION))
            for present, names in subsets.items()
        },
        latency_ms=found["latency_ms"],
        ratio=found["ratio"],
    )
