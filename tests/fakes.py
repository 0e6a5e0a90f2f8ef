"""Small models with known numbers, and backends that keep count."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mmedge.bundle import Bundle, file_ref
from mmedge.manifest import FUSION, PRESENCE, GoldenRef, Manifest, Plan
from mmedge.proof.golden import Golden
from mmedge.proof.parity import FP32
from mmedge.proof.subsets import presence_rows
from mmedge.runtime.backends.onnxruntime_cpu import OnnxRuntimeCpu
from mmedge.specs import Classification, GraphSpec, Regression, Sound, Task, TensorSpec

Floats = NDArray[np.float32]

NAMES = ("ant", "bee", "cat", "dog", "elk", "fox")
LEVEL = Regression(names=("level",), units=("m",))
SIDE = Classification(labels=("left", "right"))
# Two samples per window: the smallest input that can be more than one number.
SOUND = Sound(rate_hz=1000, window_ms=2, hop_ms=2)


def linear_bundle(
    modalities: int = 3,
    *,
    tasks: Mapping[str, Task] | None = None,
    weights: Mapping[str, Any] | None = None,
    samples: int = 3,
) -> Bundle:
    """A bundle in memory whose numbers can be told in one's head.

    Every modality is a sound of two samples ``s`` and its embedding ``2 s + 1``; a task's
    output is the sum of ``embedding @ weights[task][m]`` over what is present.

    Args:
        modalities: how many, named as in `NAMES`.
        tasks: by name; else the one regression ``level``.
        weights: task -> ``[M, 2, K]``; drawn where left out.
        samples: golden samples, drawn.
    """
    names, tasks = NAMES[:modalities], dict(tasks or {"level": LEVEL})
    random = np.random.default_rng(5)
    chosen: dict[str, Floats] = {}
    for name, task in tasks.items():
        drawn = random.normal(size=(modalities, 2, math.prod(task.shape)))
        chosen[name] = np.asarray((weights or {}).get(name, drawn), np.float32)
    shapes = {name: task.shape for name, task in tasks.items()}
    graphs = {name: encoder_graph() for name in names}
    graphs[FUSION] = head_graph(names, chosen, shapes=shapes)
    golden = _golden(names, chosen, random, samples, shapes)
    return _bundle(names, tasks, graphs, golden)


def _bundle(
    names: tuple[str, ...],
    tasks: Mapping[str, Task],
    graphs: Mapping[str, bytes],
    golden: Golden,
) -> Bundle:
    encoder = GraphSpec(inputs=(_spec("samples", 2),), outputs=(_spec("embedding", 2),))
    head = GraphSpec(
        inputs=(*(_spec(name, 2) for name in names), _spec(PRESENCE, len(names), dtype="bool")),
        outputs=tuple(_spec(name, *task.shape) for name, task in tasks.items()),
    )
    archive = golden.to_bytes()
    refs = {name: file_ref(name, ".onnx", model) for name, model in graphs.items()}
    golden_ref = file_ref("golden", ".npz", archive)
    manifest = Manifest(
        mmedge_schema=1,
        name="linear",
        made_by={"tests": "1"},
        weights_sha256="0" * 64,
        presence=names,
        modalities=dict.fromkeys(names, SOUND),
        tasks=dict(tasks),
        graphs={**dict.fromkeys(names, encoder), FUSION: head},
        plans={"fp32": Plan(precision="fp32", target="any", graphs=refs, tolerances=FP32)},
        golden=GoldenRef(file=golden_ref, samples=golden.samples, source="seeded"),
    )
    files = {refs[name].name: model for name, model in graphs.items()}
    return Bundle.in_memory(manifest, {**files, golden_ref.name: archive})


def _golden(
    names: tuple[str, ...],
    weights: Mapping[str, Floats],
    random: np.random.Generator,
    samples: int,
    shapes: Mapping[str, tuple[int, ...]],
) -> Golden:
    raw = {name: random.uniform(-1, 1, (samples, 2)).astype(np.float32) for name in names}
    rows = presence_rows(names)
    embedded = np.stack([2 * raw[name] + 1 for name in names])
    return Golden(
        raw={name: tuple(raw[name]) for name in names},
        inputs={name: {"samples": raw[name]} for name in names},
        front_ends={name: 2 * raw[name] for name in names},
        embeddings={name: {name: embedded[column]} for column, name in enumerate(names)},
        presence=rows,
        outputs={
            task: np.einsum("rm,msd,mdk->rsk", rows.astype(np.float32), embedded, each).reshape(
                len(rows), samples, *shapes[task]
            )
            for task, each in weights.items()
        },
    )


def encoder_graph(*, factor: float = 2.0, batch: str | int = "batch", fold: bool = False) -> bytes:
    """``samples`` times ``factor`` plus 1; ``fold`` drops all rows but the first."""
    nodes = [
        helper.make_node("Mul", ["samples", "factor"], ["front_end"]),
        helper.make_node("Add", ["front_end", "one"], ["sum"]),
        *(_first_row("sum", "embedding") if fold else [_node("Identity", ["sum"], "embedding")]),
    ]
    constants = {
        "factor": np.float32([factor]),
        "one": np.float32([1]),
        "axis": np.int64([0]),
    }
    return onnx_model(nodes, {"samples": [batch, 2]}, {"embedding": [batch, 2]}, constants)


def head_graph(
    names: tuple[str, ...],
    weights: Mapping[str, Floats],
    *,
    leaks: bool = False,
    bias: float | tuple[float, ...] = 0.0,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> bytes:
    """The head; one that ``leaks`` multiplies with presence, and NaN times 0 is NaN."""
    sizes = {task: each.shape[2:] for task, each in weights.items()} | dict(shapes or {})
    constants: dict[str, Any] = {"zero": np.float32(0), "bias": np.float32(bias)}
    nodes = []
    for column, name in enumerate(names):
        constants[f"column_{name}"] = np.int64([column])
        nodes.append(_node("Gather", [PRESENCE, f"column_{name}"], f"has_{name}", axis=1))
        if leaks:
            nodes.append(_node("Cast", [f"has_{name}"], f"one_{name}", to=TensorProto.FLOAT))
            nodes.append(_node("Mul", [name, f"one_{name}"], f"kept_{name}"))
        else:
            nodes.append(_node("Where", [f"has_{name}", name, "zero"], f"kept_{name}"))
    for task, each in weights.items():
        parts = [f"{task}_{name}" for name in names]
        for part, name, matrix in zip(parts, names, each, strict=True):
            constants[f"w_{part}"] = matrix
            nodes.append(_node("MatMul", [f"kept_{name}", f"w_{part}"], part))
        constants[f"shape_{task}"] = np.int64([0, *sizes[task]])
        nodes.append(_node("Sum", [*parts, "bias"], f"flat_{task}"))
        nodes.append(_node("Reshape", [f"flat_{task}", f"shape_{task}"], task))
    return onnx_model(
        nodes,
        {**{name: ["batch", 2] for name in names}, PRESENCE: ["batch", len(names)]},
        {task: ["batch", *sizes[task]] for task in weights},
        constants,
    )


def onnx_model(
    nodes: list[Any],
    inputs: Mapping[str, list[str | int]],
    outputs: Mapping[str, list[str | int]],
    constants: Mapping[str, Any] | None = None,
    *,
    element: int = TensorProto.FLOAT,
) -> bytes:
    """An ONNX file of the opset and IR version that bundles have."""
    signature = [
        [
            helper.make_tensor_value_info(
                name, TensorProto.BOOL if name == PRESENCE else element, s
            )
            for name, s in each.items()
        ]
        for each in (inputs, outputs)
    ]
    tensors = [numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()]
    graph = helper.make_graph(nodes, "fake", *signature, tensors)
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    return bytes(model.SerializeToString())


def with_graph(bundle: Bundle, name: str, model: bytes) -> Bundle:
    """The bundle with another file for one graph, its hash made anew."""
    plan, ref = bundle.manifest.plans["fp32"], file_ref(name, ".onnx", model)
    changed = plan.model_copy(update={"graphs": {**plan.graphs, name: ref}})
    manifest = bundle.manifest.model_copy(update={"plans": {"fp32": changed}})
    return Bundle.in_memory(manifest, {**bundle.files, ref.name: model})


def with_golden(bundle: Bundle, archive: bytes) -> Bundle:
    """The bundle with another golden archive, its hash made anew."""
    ref = file_ref("golden", ".npz", archive)
    golden = bundle.manifest.golden.model_copy(update={"file": ref})
    manifest = bundle.manifest.model_copy(update={"golden": golden})
    return Bundle.in_memory(manifest, {**bundle.files, ref.name: archive})


class CountingBackend(OnnxRuntimeCpu):
    """The CPU's backend; it writes down every run and every close."""

    runs: ClassVar[list[tuple[str, int]]] = []  # which graph, rows
    closed: ClassVar[list[str]] = []

    def __init__(
        self,
        model: bytes,
        *,
        what: str,
        threads: int | None = None,
        spin: bool = True,
        simulate: bool = False,
    ) -> None:
        super().__init__(model, what=what, threads=1, spin=spin)
        self.graph = what

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        CountingBackend.runs.append((self.graph, len(next(iter(feeds.values())))))
        return super().run(feeds)

    def close(self) -> None:
        CountingBackend.closed.append(self.graph)
        super().close()


def _first_row(source: str, target: str) -> list[Any]:
    """Keep one row, in a way that ONNX cannot infer how many are kept."""
    return [
        _node("ReduceMax", [source], "largest", keepdims=0),
        _node("Equal", ["largest", "largest"], "true"),
        _node("Unsqueeze", ["true", "axis"], "kept"),
        _node("NonZero", ["kept"], "rows"),
        _node("Gather", [source, "rows"], "gathered", axis=0),
        _node("Squeeze", ["gathered", "axis"], target),
    ]


def _node(kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
    return helper.make_node(kind, inputs, [output], **attributes)


def _spec(name: str, *sizes: int, dtype: Any = "float32") -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=("batch", *sizes))
