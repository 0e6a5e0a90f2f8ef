"""The engines of a bundle's plan, one graph at a time: checked, built or found, audited."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmedge._files import file_errors, write_whole
from mmedge.bundle import Bundle
from mmedge.engines.audit import Audit, Promise, audit, read_promise
from mmedge.engines.builder import Compiled, build_engine, inspect_engine
from mmedge.engines.cache import EngineCache
from mmedge.engines.checks import check_graph
from mmedge.engines.config import BuildConfig
from mmedge.engines.graph import PlanGraph
from mmedge.engines.layers import parse_inspection, parse_listing
from mmedge.engines.profiles import Profile, make_profiles
from mmedge.engines.request import EngineRequest, Place
from mmedge.engines.stored import Built
from mmedge.engines.toolkit import Toolkit, installed_toolkit, open_toolkit
from mmedge.errors import IncompatibleError
from mmedge.manifest import FileRef, Plan
from mmedge.specs.plan import lowest_plan, plan_named

__all__ = ["BuildReport", "EngineReport", "build_engines", "choose_plan_for_engines"]

Say = Callable[[str], None]
SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineReport:
    """One engine.

    Attributes:
        graph: name in the bundle.
        bytes: of the engine.
        seconds: that it took to build, now or when it was.
        kept: whether it was there already.
        audit: what was promised against what was built.
        notes: what a reader should know, such as what a DLA does not run, and the compiler's
            warnings.
        file: where an engine that was compiled ahead of time is.
    """

    graph: str
    bytes: int
    seconds: float
    kept: bool
    audit: Audit
    notes: tuple[str, ...]
    file: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        return {
            "graph": self.graph,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "kept": self.kept,
            "audit": self.audit.to_json(),
            "notes": list(self.notes),
            "file": None if self.file is None else str(self.file),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """The engines of a bundle.

    Attributes:
        plan: which of the bundle's.
        why: what there is to say of the choice; nothing where it goes without saying.
        where: the GPU and TensorRT that they were built for, for people.
        ahead_of_time: whether they were compiled without that GPU: valid for NVIDIA's compiler,
            and never run.
        engines: in the bundle's order.
    """

    plan: str
    why: str
    where: str
    ahead_of_time: bool
    engines: tuple[EngineReport, ...]

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        return {
            "plan": self.plan,
            "why": self.why,
            "where": self.where,
            "ahead_of_time": self.ahead_of_time,
            "engines": [each.to_json() for each in self.engines],
        }


def build_engines(
    bundle: Bundle,
    config: BuildConfig,
    *,
    cache: EngineCache | None = None,
    say: Say = lambda _: None,
) -> BuildReport:
    """Build the engines that a plan needs here, or find those that were built before.

    Ahead of time they go into ``config.out``, one file a graph, with ``build.json`` beside them.

    Args:
        bundle: whose.
        config: which plan, and how.
        cache: where engines of this device are kept; ``None`` for the user's.
        say: told what is under way.

    Raises:
        IncompatibleError: no driver, GPU or TensorRT, or a graph that it does not take.
        ProofError: an engine computes otherwise than its plan says; it is not kept.
        ConfigError: there is no such plan, or a folder cannot be written.
        ResourceError: memory or disk do not suffice.
        KeyboardInterrupt: Ctrl-C was pressed; engines that were built before it are kept.
    """
    name, why = choose_plan_for_engines(bundle.manifest.plans, config.plan)
    ahead = config.ahead_of_time
    if ahead is None:
        toolkit = open_toolkit("tensorrt_rtx" if config.rtx else installed_toolkit())
        where = str(Place.of(toolkit))
    else:
        toolkit = open_toolkit("tensorrt_rtx", needs_gpu=False)
        where = f"{ahead}, {toolkit.name} {toolkit.version}"
    work = _Work(bundle, name, config, toolkit, say)
    profiles = make_profiles(bundle.manifest, max_batch=config.max_batch)
    graphs = bundle.manifest.plans[name].graphs
    if config.out is None:
        kept = EngineCache() if cache is None else cache  # one: it removes none that it has built
        engines = [work.for_this_gpu(each, profiles[each], kept) for each in graphs]
    else:
        engines = [work.ahead_of_time(each, profiles[each], config.out) for each in graphs]
    report = BuildReport(
        plan=name, why=why, where=where, ahead_of_time=ahead is not None, engines=tuple(engines)
    )
    if config.out is not None:
        text = json.dumps({**report.to_json(), "bundle": bundle.digest}, indent=1)
        _write(config.out / "build.json", f"{text}\n".encode())
    return report


def choose_plan_for_engines(plans: Mapping[str, Plan], wanted: str) -> tuple[str, str]:
    """Give the name of the plan that is meant, and what there is to say of the choice.

    Raises:
        ConfigError: there is no such plan.
        IncompatibleError: it is for CPUs.
    """
    if wanted == "auto":
        made = lowest_plan(plans, "tensorrt")
        if made is None:
            return "fp32", "the bundle has no plan for TensorRT; 'mmedge calibrate' makes one"
        return made, ""
    if plan_named(plans, wanted).target == "cpu":
        raise IncompatibleError(
            f"plan {wanted!r} is for CPUs: it rounds to uint8, and TensorRT computes in int8 only. "
            "Take --plan auto, or make one with: mmedge calibrate --target tensorrt"
        )
    return wanted, ""


@dataclass(frozen=True, slots=True)
class _Work:
    """What all graphs of one build have in common."""

    bundle: Bundle
    plan: str
    config: BuildConfig
    toolkit: Toolkit
    say: Say

    def for_this_gpu(self, graph: str, profile: Profile, cache: EngineCache) -> EngineReport:
        """Find a graph's engine in the cache, or build it into that."""
        request = EngineRequest(
            graph=graph,
            model_sha256=self._file(graph).sha256,
            plan=self.plan,
            profile=profile.to_json(),
            flags=self.config.flags(graph),
            place=Place.of(self.toolkit),
        )
        fresh = []
        timed = self.toolkit.name == "tensorrt"  # TensorRT-RTX measures when it runs

        def build() -> Built:
            timings = cache.timings(request.place) if timed else None
            compiled, found = self._build(graph, profile, timings)
            cache.keep_timings(compiled.timings, request.place)
            fresh.append(graph)
            about = {
                "audit": found.to_json(),
                "seconds": compiled.seconds,
                "notes": list(_notes(compiled)),
            }
            return Built(engine=compiled.engine, about=about)

        built = cache.engine(request, build, lambda why: self.say(f"{graph}: {why}"))
        return EngineReport(
            graph=graph,
            bytes=len(built.engine),
            seconds=built.about["seconds"],
            kept=not fresh,
            audit=Audit.from_json(built.about["audit"]),
            notes=tuple(built.about["notes"]),
        )

    def ahead_of_time(self, graph: str, profile: Profile, out: Path) -> EngineReport:
        """Compile a graph for a GPU that is not here, into a file."""
        compiled, found = self._build(graph, profile)
        file = out / f"{graph}-{self.plan}-{self.config.ahead_of_time}.engine"
        _write(file, compiled.engine)
        return EngineReport(
            graph=graph,
            bytes=len(compiled.engine),
            seconds=compiled.seconds,
            kept=False,
            audit=found,
            notes=_notes(compiled),
            file=file,
        )

    def _build(
        self, graph: str, profile: Profile, timings: bytes | None = None
    ) -> tuple[Compiled, Audit]:
        """Check, build and audit one graph; one that is not what was promised goes no further."""
        what = f"graph {graph!r} of plan {self.plan!r}"
        self.say(f"{graph}: check")
        # The graph's own copy of the weights is gone before TensorRT makes others.
        promise = self._promise(graph, what)
        self.say(f"{graph}: build")
        dla_core = self.config.dla_for(graph)
        compiled = build_engine(
            lambda: self.bundle.read(self._file(graph)),
            what=what,
            profile=profile,
            config=self.config,
            toolkit=self.toolkit,
            say=lambda phase: self.say(f"{graph}: {phase}"),
            dla_core=dla_core,
            timings=timings,
        )
        self.say(f"{graph}: audit")
        if compiled.layers or self.toolkit.driver is None:
            layers = parse_listing(compiled.layers)
        else:
            told = inspect_engine(compiled.engine, what, self.toolkit, dla_core=dla_core)
            layers = parse_inspection(told)
        found = audit(promise, layers, hidden=dla_core is not None)
        found.check(what)
        return compiled, found

    def _promise(self, graph: str, what: str) -> Promise:
        opened = PlanGraph(self.bundle.read(self._file(graph)), what)
        check_graph(opened)
        return read_promise(opened, self.bundle.manifest.plans[self.plan].int8.get(graph, ()))

    def _file(self, graph: str) -> FileRef:
        return self.bundle.manifest.plans[self.plan].graphs[graph]


def _notes(compiled: Compiled) -> tuple[str, ...]:
    """Give what there is to say of an engine, the compiler's first warnings among it."""
    warned = compiled.warnings
    more = f"; and {len(warned) - SHOWN} more" if len(warned) > SHOWN else ""
    said = (f"TensorRT warns: {'; '.join(warned[:SHOWN])}{more}",) if warned else ()
    return (*compiled.notes, *said)


def _write(path: Path, data: bytes) -> None:
    """Write a file of the user's folder, which is made if it is not there."""
    with file_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
