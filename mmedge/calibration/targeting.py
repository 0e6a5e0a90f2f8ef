"""One target: from observed encoders to the cheapest plan that passes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mmedge.calibration.alone import fast_kinds, ratios_alone
from mmedge.calibration.candidate import CANDIDATE, Candidate, Workshop, int8_share
from mmedge.calibration.config import CalibrateConfig
from mmedge.calibration.judging import Judge
from mmedge.calibration.latency import Ratio, latency_ratio, plan_ratio
from mmedge.calibration.ranges import METHODS, Method
from mmedge.calibration.search import Found, fewest_restored
from mmedge.calibration.sensitivity import Unit, measure, ordered
from mmedge.calibration.trial import Trial
from mmedge.calibration.verdicts import SLOWER, few_layers
from mmedge.proof.saying import Say, seldom

__all__ = ["WORTH", "Searched", "TargetSearch"]

WORTH = 0.97
"""An encoder whose INT8 form takes longer than this share of float32's time stays float32."""

Methods = Mapping[str, Method]


@dataclass(frozen=True, kw_only=True)
class Searched:
    """Where the search for one target ended.

    Attributes:
        candidate: all that was lowered before anything was restored.
        units: in the order in which they are restored.
        found: the plan, and what else was tried; ``None`` if nothing is worth lowering.
        latency: modality -> its INT8 form beside float32, on this CPU.
        why: says why there was nothing to try.
    """

    candidate: Candidate
    units: tuple[Unit, ...]
    found: Found | None
    latency: Mapping[str, Ratio]
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class TargetSearch:
    """Searches the plan of one target.

    Attributes:
        workshop: makes candidates.
        judge: tries them on the search part...
        few: ...and this one on a handful of it, for what is asked often.
        config: the limit.
        late: whether the time is up.
        say: told what is under way.
    """

    workshop: Workshop
    judge: Judge
    few: Judge
    config: CalibrateConfig
    late: Callable[[], bool]
    say: Say

    def run(self) -> Searched:
        """Search: which layers are worth it, how their ranges are chosen, which are restored."""
        layers, latency = self._layers()
        start = Candidate(int8=layers, methods={}, rest=self._rest)
        units = self._units(layers)
        if why := self._too_few(units):
            return Searched(candidate=start, units=(), found=None, latency=latency, why=why)
        start = replace(start, methods=self._methods(start))
        units = self._measured(units, start)
        least, most = {
            "int8": (0, 0),
            "mixed": (1, len(units) - 1),
            "fp16": (len(units), len(units)),
        }.get(self.config.precision, (0, len(units)))
        found = fewest_restored(start, units, self.attempt, self.late, least=least, most=most)
        return Searched(candidate=start, units=tuple(units), found=found, latency=latency)

    def _units(self, layers: Mapping[str, frozenset[str]]) -> list[Unit]:
        """Cut what is to be lowered into what is restored together."""
        materials = self.workshop.materials
        return [unit for name, each in layers.items() for unit in materials[name].units(each)]

    def _too_few(self, units: Sequence[Unit]) -> str:
        """Say why there is no plan to be looked for; nothing where there is."""
        precision = self.config.precision
        if not units and self._rest == "fp32" and precision != "int8":
            return SLOWER
        least = {"int8": 1, "mixed": 2}.get(precision, 0)
        return few_layers(precision, least, len(units)) if len(units) < least else ""

    @property
    def _rest(self) -> Literal["fp32", "fp16"]:
        return "fp16" if self.workshop.target == "tensorrt" else "fp32"

    def _layers(self) -> tuple[dict[str, frozenset[str]], dict[str, Ratio]]:
        """Choose what is worth lowering: all of it for TensorRT; on the CPU, what is faster."""
        if self.config.precision == "fp16":
            return {}, {}
        materials = self.workshop.materials
        if self.workshop.target == "tensorrt":
            return {n: frozenset(e.name for e in m.lowerable) for n, m in materials.items()}, {}
        layers: dict[str, frozenset[str]] = {}
        latency: dict[str, Ratio] = {}
        for name, material in materials.items():
            self.say(f"cpu: what is faster in INT8 in {name!r}")
            alone = ratios_alone(material.model, material.lowerable, late=self.late)
            sets = fast_kinds(material.lowerable, alone)
            if self.config.precision == "int8":  # all that can be, whatever it takes
                sets = sets[:1]
            timed: dict[frozenset[str], Ratio] = {}
            for each in sets:
                if not timed or not self.late():
                    timed[each] = self.time(name, each)
            if timed:
                best = min(timed, key=lambda each: timed[each].median)
                latency[name] = timed[best]
                if timed[best].median < WORTH or self.config.precision == "int8":
                    layers[name] = best
        return layers, latency

    def time(self, name: str, layers: frozenset[str], methods: Methods | None = None) -> Ratio:
        """Time an encoder with these layers in INT8 beside float32, on this CPU."""
        lowered = self.workshop.lower(Candidate(int8={name: layers}, methods=methods or {}), name)
        material = self.workshop.materials[name]
        model = material.original if lowered is None else lowered.model
        return latency_ratio(material.original, model, material.example)

    def _methods(self, start: Candidate) -> dict[str, Method]:
        """Choose how each encoder's ranges are made: the least noise with all of it lowered.

        What there is no time to try is not chosen; the first needs no trial.
        """
        methods: dict[str, Method] = {}
        for name, layers in start.int8.items():
            if not layers:
                continue
            self.say(f"{self.workshop.target}: how the ranges of {name!r} are chosen")
            noises: dict[Method, float] = {}
            for method in METHODS:
                if not self.late():
                    alone = Candidate(int8={name: layers}, methods={name: method}, rest="fp32")
                    noises[method] = self._noise(alone)
            methods[name] = min(noises, key=lambda method: noises[method], default=METHODS[0])
        return methods

    def _measured(self, units: Sequence[Unit], start: Candidate) -> list[Unit]:
        """Measure what each unit costs, and put first what is restored first."""
        self.say(f"{self.workshop.target}: what {len(units)} units cost, each alone")

        told, numbers = seldom(self.say), itertools.count(1)

        def noise(unit: Unit) -> float:
            told(f"{self.workshop.target}: unit {next(numbers)} of {len(units)}")
            alone = {unit.modality: frozenset(unit.layers)}
            return self._noise(Candidate(int8=alone, methods=start.methods, rest="fp32"))

        return ordered(measure(units, noise, self.late))

    def _noise(self, candidate: Candidate) -> float:
        return self.few.noise(self.workshop.build(candidate))

    def attempt(self, candidate: Candidate) -> Trial:
        """Try a candidate on the search part."""
        bundle = self.workshop.build(candidate)
        share = int8_share(self.workshop.materials.values(), bundle.manifest.plans[CANDIDATE].int8)
        trial = self.judge.judge(bundle, candidate, share)
        if self.workshop.target == "cpu":
            trial = replace(trial, ratio=plan_ratio(bundle, CANDIDATE, self.judge.prepared))
        self.say(
            f"{self.workshop.target}: INT8 share {share:.0%}, drop {trial.worst_value:.2f} "
            f"(at most {trial.worst_bound:.2f}) points"
        )
        return trial
