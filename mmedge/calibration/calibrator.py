"""From a bundle and samples to a bundle with plans, or to a refusal that ships nothing."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np

from mmedge.bundle import Bundle, check_target, file_ref, open_bundle, save_bundle, writing
from mmedge.calibration.candidate import Workshop, with_plans
from mmedge.calibration.config import CalibrateConfig, Target
from mmedge.calibration.finishing import Finished, finish
from mmedge.calibration.judging import Judge
from mmedge.calibration.material import Material, prepare_material
from mmedge.calibration.outcome import Calibration
from mmedge.calibration.report import draw_page
from mmedge.calibration.reporting import report_texts
from mmedge.calibration.targeting import TargetSearch
from mmedge.errors import ConfigError, ProofError
from mmedge.manifest import FileRef, Manifest, Plan
from mmedge.proof.choosing import check_metric
from mmedge.proof.data import (
    Prepared,
    Split,
    prepare_samples,
    read_samples,
    refuse_unfit,
    split,
)
from mmedge.proof.data.overlap import said_of_shared
from mmedge.proof.data.splitting import PARTS
from mmedge.proof.drawing.writing import check_page, write_page
from mmedge.proof.saying import Say, Teller, seldom
from mmedge.runtime.backends import Arrays
from mmedge.runtime.backends.instructions import this_cpu
from mmedge.runtime.predictor import Predictor

__all__ = ["calibrate"]

OBSERVED = 8
"""Inputs run at a time while ranges are observed: what memory they take is flat."""
FEW = 64
"""Samples of the search part on which single layers are judged."""


def calibrate(config: CalibrateConfig, say: Say = lambda _: None) -> Calibration:
    """Make the plans of lower precision that keep a bundle's accuracy.

    Nothing is written but at the end, whole: an interrupted calibration leaves the bundle as
    it was.

    Args:
        config: what to do.
        say: told what is under way.

    Raises:
        ConfigError: data that does not suffice, plans that are there already, no such
            metric, a report that cannot be written, or another process that writes the bundle.
        SourceError: data that cannot be read.
        ProofError: no plan is proven to stay within the allowed drop.
        ResourceError: the disk is full.
    """
    check_metric(config.metric, open_bundle(config.bundle).manifest.tasks)
    check_target(config.bundle, replace=True)
    if config.report is not None:
        check_page(config.report)
    with writing(config.bundle, wait_s=0):
        bundle = open_bundle(config.bundle)
        _refuse_again(bundle, config)
        with tempfile.TemporaryDirectory(prefix="mmedge-calibrate-") as scratch:
            found = _calibrate(bundle, config, Path(scratch), Teller(say))
        if found.bundle is not bundle:
            say("write")
            found = replace(found, bundle=save_bundle(found.bundle, config.bundle, replace=True))
    if config.report is not None:
        write_page(config.report, draw_page(found))
    return found


def _refuse_again(bundle: Bundle, config: CalibrateConfig) -> None:
    """Refuse to replace plans that nobody asked to replace."""
    there = [name for name, plan in bundle.manifest.plans.items() if plan.target in config.tried]
    if there and not config.replace:
        raise ConfigError(
            f"{config.bundle} has the plan {there[0]!r} already; add --force to replace it"
        )


def _calibrate(bundle: Bundle, config: CalibrateConfig, scratch: Path, say: Say) -> Calibration:
    with Predictor(bundle, plan="fp32") as predictor:
        prepared = _samples(predictor, config, scratch, say)
        parts = split(prepared.groups)
        _check_parts(prepared, parts, bundle.manifest)
        finished = []
        judges = _judges(bundle, prepared, parts, scratch, config, say=say)
        begin_ns = time.monotonic_ns()
        for number, target in enumerate(config.tried, start=1):
            materials = _materials(predictor, prepared.take(parts.ranges), target, say)
            # What one target leaves of its share of the time is the next one's.
            until_ns = begin_ns + int(config.minutes * 60e9 * number / len(config.tried))
            search = TargetSearch(
                workshop=Workshop(bundle, target, materials),
                judge=judges["search"],
                few=judges["few"],
                config=config,
                late=partial(_is_over, until_ns),
                say=say,
            )
            finished.append(finish(search, search.run(), judges["report"]))
    return _collect(bundle, config, finished, prepared, parts)


def _samples(predictor: Predictor, config: CalibrateConfig, scratch: Path, say: Say) -> Prepared:
    """Read and prepare the samples, and refuse what says too little."""
    say("samples")
    told = seldom(say)
    samples = read_samples(config.data, predictor.manifest, split_by=config.split_by)
    prepared = prepare_samples(
        samples,
        predictor.prepare,
        predictor.manifest,
        scratch / "samples",
        lambda seen: told(f"samples: {seen}"),
    )
    refuse_unfit(prepared, predictor.manifest)
    return prepared


def _is_over(until_ns: int) -> bool:
    return time.monotonic_ns() > until_ns


def _check_parts(prepared: Prepared, parts: Split, manifest: Manifest) -> None:
    """Refuse parts that say too little: nothing is shipped that a part could not speak of."""
    for name in PARTS:
        part = prepared.take(getattr(parts, name))
        refuse_unfit(part, manifest, part=name)
        lacking = sorted(set(part.unlabelled) - set(prepared.unlabelled))
        if name != "ranges" and lacking:
            raise ConfigError(
                f"no clip of the part {name!r} has a label for {lacking[0]!r}, though others have; "
                "label clips of more speakers, sessions or files, or leave these labels out"
            )


def _materials(
    predictor: Predictor, part: Prepared, target: Target, say: Say
) -> dict[str, Material]:
    """Watch every encoder on the range samples."""
    graphs = predictor.manifest.plans["fp32"].graphs
    materials = {}
    told = seldom(say)
    for name in predictor.manifest.presence:
        say(f"{target}: ranges of {name!r} from {part.unique(name)} inputs")
        model = predictor.bundle.read(graphs[name])
        materials[name] = prepare_material(
            name, model, partial(_feeds, predictor, part, name, told), target
        )
    return materials


def _feeds(predictor: Predictor, part: Prepared, name: str, told: Say) -> Iterator[Arrays]:
    """Walk through a modality's inputs; the state of an encoder that remembers goes along."""
    for rows, windows in part.walks(name, None, OBSERVED):
        told(f"ranges of {name!r}: input {rows[0]} of {part.unique(name)}")
        state = predictor.stream(name, len(rows))
        for window in windows:
            yield {**window, **state.feeds(name, len(rows))}
            if state:
                predictor.encode(name, window, state=state)


def _judges(
    bundle: Bundle,
    prepared: Prepared,
    parts: Split,
    scratch: Path,
    config: CalibrateConfig,
    *,
    say: Say,
) -> dict[str, Judge]:
    """Make a judge of the search part, of a few of it, and of the report part."""
    say("what fp32 answers")
    told = seldom(say)
    search = parts.search
    few = search[np.unique(np.linspace(0, len(search) - 1, min(FEW, len(search))).astype(int))]
    judges = {}
    for name, rows in {"search": search, "few": few, "report": parts.report}.items():
        folder = scratch / name
        folder.mkdir()
        try:
            judges[name] = Judge(
                bundle,
                prepared.take(rows),
                folder,
                config,
                lambda share: told(f"encoded: {share:.0%}"),
                judges=name != "few",
            )
        except ConfigError as exc:
            raise ConfigError(
                f"part {name!r}: {exc}. Give clips of more groups, so that each part has all kinds"
            ) from exc
    return judges


def _collect(
    bundle: Bundle,
    config: CalibrateConfig,
    finished: Sequence[Finished],
    prepared: Prepared,
    parts: Split,
) -> Calibration:
    """Put the plans into the bundle, or refuse where accuracy left none."""
    plans = {
        name: plan
        for name, plan in bundle.manifest.plans.items()
        if plan.target not in config.tried
    }
    files: dict[str, bytes] = {}
    for each in finished:
        if each.plan is not None and each.outcome.plan is not None:
            plans[each.outcome.plan] = each.plan
            files |= each.files
    rows = {name: getattr(parts, name) for name in PARTS}
    found = Calibration(
        bundle=bundle,
        outcomes=tuple(each.outcome for each in finished),
        samples={name: len(each) for name, each in rows.items()},
        groups={name: len(parts.digests[name]) for name in PARTS},
        skipped=tuple(prepared.skipped),
        labelled=len(prepared.unlabelled) < len(bundle.manifest.tasks),
        unlabelled=prepared.unlabelled,
        machine=this_cpu().name,
        max_drop=config.max_drop,
        notes=(*config.left_alone, *said_of_shared(prepared, parts, bundle.manifest.modalities)),
    )
    if not files and any(each.failed for each in finished):
        _refuse(found, config)
    if plans.keys() == bundle.manifest.plans.keys() and not files:
        return found
    return replace(found, bundle=_with_reports(bundle, plans, files, found, parts, config=config))


def _refuse(found: Calibration, config: CalibrateConfig) -> NoReturn:
    """Say why there is no plan, on a page as well if one was asked for."""
    lines = [f"{each.target}: {each.verdict}" for each in found.outcomes]
    if config.report is not None:
        write_page(config.report, draw_page(found))
        lines.append(f"report: {config.report}")
    raise ProofError("\n".join(lines))


def _with_reports(
    bundle: Bundle,
    plans: Mapping[str, Plan],
    files: Mapping[str, bytes],
    found: Calibration,
    parts: Split,
    *,
    config: CalibrateConfig,
) -> Bundle:
    """Give the bundle with its new plans, the split and what was found."""
    by = {"by": config.split_by} if config.split_by else {}
    texts = {
        "split": (".json", json.dumps({**parts.to_json(), **by})),
        **report_texts(found),
    }
    refs, reports = _other_reports(bundle.manifest, plans, config, list(texts)), {}
    for name, (suffix, text) in texts.items():
        refs[name] = file_ref(name, suffix, text.encode())
        reports[refs[name].name] = text.encode()
    made = with_plans(bundle, plans, {**files, **reports})
    manifest = made.manifest.model_copy(update={"reports": refs})
    return Bundle.in_memory(manifest, made.files)


def _other_reports(
    manifest: Manifest, plans: Mapping[str, Plan], config: CalibrateConfig, ours: Sequence[str]
) -> dict[str, FileRef]:
    """Keep the reports of others, and, under a target's name, of a plan that stays as it is."""
    stale = {f"{name}_{target}" for name in ours for target in config.tried}
    kept = {name: ref for name, ref in manifest.reports.items() if name not in stale}
    for target in {plan.target for plan in plans.values()} - {"any", *config.tried}:
        for name in ours:
            if name in manifest.reports:
                kept.setdefault(f"{name}_{target}", manifest.reports[name])
    return kept
