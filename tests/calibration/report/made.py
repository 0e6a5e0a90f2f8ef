"""A small calibration, made by hand: two targets, two encoders, every section filled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mmedge.calibration.candidate import Candidate
from mmedge.calibration.confusion import Confusion
from mmedge.calibration.histogram import Histogram
from mmedge.calibration.latency import Ratio
from mmedge.calibration.lowering import Range
from mmedge.calibration.outcome import Calibration, Outcome, Watched
from mmedge.calibration.sensitivity import Unit
from mmedge.calibration.trial import Trial
from mmedge.manifest import Kept
from mmedge.proof.paired import Drop
from tests.fakes import SIDE, linear_bundle

LAYERS = ("conv", "project")
SKIPPED = ("clips.jsonl line 7: gone.wav: no such file",)


def a_trial(
    *int8: str, drop: float = 0.2, bound: float = 0.4, ratio: float | None = None, **more: Any
) -> Trial:
    """A trial of the encoder ``ant``; each of its layers has half of the multiply-accumulates."""
    return Trial(
        candidate=Candidate(int8={"ant": frozenset(int8)}, methods={"ant": "entropy"}),
        drops={"side": Drop(metric="accuracy", value=drop, bound=bound, samples=600)},
        subsets={"ant": {"side": 0.7}},
        int8={"ant": int8} if int8 else {},
        share=len(int8) / 2,
        max_drop=0.5,
        ratio=ratio,
        **more,
    )


def a_histogram(*numbers: float) -> Histogram:
    histogram = Histogram()
    histogram.add(np.array(numbers, np.float32))
    return histogram


def an_outcome(**changes: Any) -> Outcome:
    """A plan for TensorRT, whose last layer was restored."""
    all_int8, plan = a_trial(*LAYERS, drop=1.2, bound=1.6), a_trial("conv")
    counts = ((0, 0, 0, 290), (0, 0, 1, 2), (1, 1, 1, 300), (1, 1, 0, 1), (1, 0, 0, 7))
    side = Confusion(labels=SIDE.labels, counts=counts)
    outcome = Outcome(
        target="tensorrt",
        plan="mixed_tensorrt",
        verdict="INT8 share 50%; loses 0.20 points, at most 0.40",
        precision="mixed",
        searched=plan,
        reported=replace(plan, confusions={"side": side}),
        trials=(all_int8, plan),
        units=(
            Unit(modality="ant", layers=("project",), macs=100, noise=0.01),
            Unit(modality="ant", layers=("conv",), macs=100, noise=0.0001),
        ),
        methods={"ant": "entropy"},
        kept={"ant": (Kept(layer="project", precision="fp16", why="noise is -20 dB"),)},
        watched={
            "ant": (
                Watched(
                    value="conv_input",
                    histogram=a_histogram(*np.linspace(-1, 4, 1000)),
                    range=Range(-2.0, 2.0),
                ),
            )
        },
        bytes=1_500_000,
    )
    return replace(outcome, **changes)


def for_the_cpu(**changes: Any) -> Outcome:
    """The same on the CPU, where it was timed."""
    plan = a_trial("conv", ratio=0.6)
    timed: Mapping[str, Any] = {
        "target": "cpu",
        "plan": "mixed_cpu",
        "verdict": "0.60 of fp32's time on this CPU",
        "searched": plan,
        "trials": (a_trial(*LAYERS, drop=1.2, bound=1.6, ratio=0.5), plan),
        "latency": {"ant": Ratio(median=0.55, ms=1.1, reference_ms=2.0)},
        "ratio": 0.6,
    }
    return an_outcome(**{**timed, **changes})


def a_calibration(*outcomes: Outcome, **changes: Any) -> Calibration:
    found = Calibration(
        bundle=linear_bundle(2, tasks={"side": SIDE}),
        outcomes=outcomes or (an_outcome(), for_the_cpu()),
        samples={"ranges": 300, "search": 600, "report": 601},
        groups={"ranges": 3, "search": 6, "report": 7},
        skipped=SKIPPED,
        labelled=True,
        unlabelled=(),
        machine="a CPU",
        max_drop=0.5,
    )
    return replace(found, **changes)
