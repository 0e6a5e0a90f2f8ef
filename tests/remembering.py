"""A model in memory whose encoder remembers, with numbers that can be told in one's head."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper

from mmedge.bundle import Bundle, file_ref
from mmedge.manifest import FUSION, PRESENCE, GoldenRef, Manifest, Plan
from mmedge.proof.chains import Chain
from mmedge.proof.golden import Golden
from mmedge.proof.parity import FP32
from mmedge.specs import GraphSpec, Regression, Sound, StateSpec, TensorSpec
from tests.fakes import Floats, onnx_model

WINDOW = 4
SOUND = Sound(rate_hz=1000, window_ms=WINDOW, hop_ms=WINDOW)
BEGIN = 10.0


def remembering_bundle(
    *, sound: Sound = SOUND, begin: float = BEGIN, forget: float = 1.0
) -> Bundle:
    """One sound, ``ear``; its embedding is the sum of all samples so far and ``begin``.

    Args:
        sound: its windows; hop is length.
        begin: what it remembers at first.
        forget: the graph multiplies what it remembers by this; golden samples say 1.
    """
    graphs = {"ear": _encoder(sound.samples, forget), FUSION: _head()}
    archive = _golden(sound, begin).to_bytes()
    refs = {name: file_ref(name, ".onnx", model) for name, model in graphs.items()}
    golden = file_ref("golden", ".npz", archive)
    manifest = Manifest(
        mmedge_schema=1,
        name="remembering",
        made_by={"tests": "1"},
        weights_sha256="0" * 64,
        presence=("ear",),
        modalities={"ear": sound},
        tasks={"sum": Regression(names=("sum",), units=("1",))},
        graphs={
            "ear": GraphSpec(
                inputs=(_spec("samples", sound.samples), _spec("state_sum", 1)),
                outputs=(_spec("embedding", 1), _spec("next_sum", 1)),
            ),
            FUSION: GraphSpec(
                inputs=(
                    _spec("ear", 1),
                    TensorSpec(name=PRESENCE, dtype="bool", shape=("batch", 1)),
                ),
                outputs=(_spec("sum", 1),),
            ),
        },
        states={
            "ear": (StateSpec(name="sum", input="state_sum", output="next_sum", init=(begin,)),)
        },
        plans={"fp32": Plan(precision="fp32", target="any", graphs=refs, tolerances=FP32)},
        golden=GoldenRef(file=golden, samples=2, source="seeded"),
    )
    files = {refs[name].name: model for name, model in graphs.items()}
    return Bundle.in_memory(manifest, {**files, golden.name: archive})


def _encoder(samples: int, forget: float) -> bytes:
    nodes = [
        helper.make_node("ReduceSum", ["samples", "axis"], ["told"], keepdims=1),
        helper.make_node("Mul", ["state_sum", "forget"], ["kept"]),
        helper.make_node("Add", ["kept", "told"], ["next_sum"]),
        helper.make_node("Identity", ["next_sum"], ["embedding"]),
    ]
    return onnx_model(
        nodes,
        {"samples": ["batch", samples], "state_sum": ["batch", 1]},
        {"embedding": ["batch", 1], "next_sum": ["batch", 1]},
        {"axis": np.int64([1]), "forget": np.float32(forget)},
    )


def _head() -> bytes:
    nodes = [helper.make_node("Where", [PRESENCE, "ear", "zero"], ["sum"])]
    return onnx_model(
        nodes,
        {"ear": ["batch", 1], PRESENCE: ["batch", 1]},
        {"sum": ["batch", 1]},
        {"zero": np.float32(0)},
    )


def _golden(sound: Sound, begin: float) -> Golden:
    random = np.random.default_rng(3)
    raw = random.uniform(-1, 1, (2, sound.samples)).astype(np.float32)
    embedding = np.float32(begin) + raw.sum(axis=1, keepdims=True)
    return Golden(
        raw={"ear": tuple(raw)},
        inputs={"ear": {"samples": raw}},
        front_ends={},
        embeddings={"ear": {"ear": embedding}},
        presence=np.array([[True], [False]]),
        outputs={"sum": np.stack([embedding, np.zeros_like(embedding)])},
        chains={"ear": _chain(random.uniform(-1, 1, (8, sound.samples)).astype(np.float32), begin)},
    )


def _chain(windows: Floats, begin: float) -> Chain:
    told = windows.sum(axis=1, keepdims=True)
    sums = begin + np.concatenate([told[:3].cumsum(axis=0), told[3:].cumsum(axis=0)])
    sums = sums.astype(np.float32)
    arrays: dict[str, Any] = {"ear": sums}
    return Chain(inputs={"samples": windows}, embeddings=arrays, states={"sum": sums}, reset=3)


def _spec(name: str, size: int) -> TensorSpec:
    return TensorSpec(name=name, dtype="float32", shape=("batch", size))
