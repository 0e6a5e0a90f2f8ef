"""Candidates: which layers of which encoder are INT8, turned into a plan that can be run."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from mmedge.bundle import Bundle, file_ref
from mmedge.calibration.config import Target
from mmedge.calibration.lowering import Lowered, Lowering
from mmedge.calibration.material import Material
from mmedge.calibration.ranges import Method
from mmedge.calibration.rewrite.cpu import lower_cpu
from mmedge.calibration.rewrite.tensorrt import lower_tensorrt
from mmedge.manifest import Kept, Plan, Tolerance

__all__ = ["CANDIDATE", "Candidate", "Workshop", "int8_share", "with_plans"]

CANDIDATE = "candidate"
"""Name of the plan, in a bundle that only lives in memory, that a candidate is run as."""
REWRITES: Mapping[Target, Callable[[bytes, Lowering], Lowered]] = {
    "tensorrt": lower_tensorrt,
    "cpu": lower_cpu,
}
_ANYTHING: dict[Literal["cpu", "gpu"], Tolerance] = {
    "cpu": Tolerance(absolute=1e30, relative=0.0),
    "gpu": Tolerance(absolute=1e30, relative=0.0),
}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What is lowered, encoder by encoder.

    Attributes:
        int8: modality -> names of the layers in INT8; an encoder that is not there, or whose
            set is empty, keeps its precision.
        methods: modality -> how ranges are chosen.
        rest: precision of what is not INT8.
    """

    int8: Mapping[str, frozenset[str]]
    methods: Mapping[str, Method]
    rest: Literal["fp32", "fp16"] = "fp32"

    def without(self, layers: Iterable[tuple[str, str]]) -> Candidate:
        """Restore some layers, given as pairs of modality and name."""
        restored = set(layers)
        return replace(
            self,
            int8={
                name: frozenset(each for each in chosen if (name, each) not in restored)
                for name, chosen in self.int8.items()
            },
        )


def int8_share(materials: Iterable[Material], int8: Mapping[str, Iterable[str]]) -> float:
    """Share of the encoders' multiply-accumulates that are INT8, front-ends excluded, 0..1."""
    macs = {(m.name, layer.name): layer.macs for m in materials for layer in m.layers}
    lowered = sum(macs[name, layer] for name, layers in int8.items() for layer in layers)
    return lowered / max(1, sum(macs.values()))


@dataclass
class Workshop:
    """Makes the plans of one target; of each encoder it remembers what it made last.

    Attributes:
        bundle: the bundle that is calibrated.
        target: what plans are made for.
        materials: modality -> its encoder.
    """

    bundle: Bundle
    target: Target
    materials: Mapping[str, Material]
    _last: dict[str, tuple[object, Lowered]] = field(default_factory=dict)

    def lower(self, candidate: Candidate, name: str) -> Lowered | None:
        """Lower one encoder; ``None`` where the candidate leaves it as it is."""
        int8 = candidate.int8.get(name, frozenset())
        if not int8 and candidate.rest == "fp32":
            return None
        method = candidate.methods.get(name, "min-max")
        key = (int8, method, candidate.rest)
        if name not in self._last or self._last[name][0] != key:
            material = self.materials[name]
            lowering = Lowering(
                int8=int8,
                ranges=material.ranges(method, symmetric=self.target == "tensorrt"),
                seen=material.seen,
                means=material.means,
                rest=candidate.rest,
            )
            self._last[name] = key, REWRITES[self.target](material.model, lowering)
        return self._last[name][1]

    def build(self, candidate: Candidate) -> Bundle:
        """Give the bundle, in memory, with the candidate as one more plan."""
        manifest = self.bundle.manifest
        refs = dict(manifest.plans["fp32"].graphs)
        files: dict[str, bytes] = {}
        int8: dict[str, tuple[str, ...]] = {}
        kept: dict[str, tuple[Kept, ...]] = {}
        instructions: list[str] = []
        for name in self.materials:
            lowered = self.lower(candidate, name)
            if lowered is None:
                continue
            refs[name] = file_ref(f"{name}-{self.target}", ".onnx", lowered.model)
            files[refs[name].name] = lowered.model
            int8[name], kept[name] = lowered.int8, lowered.kept
            instructions += lowered.instructions
        plan = Plan(
            precision="int8" if any(int8.values()) else candidate.rest,
            target=self.target,
            graphs=refs,
            tolerances=_ANYTHING,
            int8={name: layers for name, layers in int8.items() if layers},
            kept={name: layers for name, layers in kept.items() if layers},
            instructions=tuple(dict.fromkeys(instructions)),
        )
        plans = {**manifest.plans, CANDIDATE: plan}
        return with_plans(self.bundle, plans, files)


def with_plans(bundle: Bundle, plans: Mapping[str, Plan], files: Mapping[str, bytes]) -> Bundle:
    """Give a bundle with other plans, in memory; ``files`` are those that it lacks."""
    manifest = bundle.manifest.model_copy(update={"plans": dict(plans)})
    # Those of a folder are still read when asked for; nothing is ever put into it.
    below = cast("MutableMapping[str, bytes]", bundle.files)
    return Bundle.in_memory(manifest, ChainMap(dict(files), below))
