"""A bundle with several plans whose answers can be told in one's head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmedge.bundle import Bundle, file_ref
from mmedge.manifest import Plan
from mmedge.proof.parity import FP32
from tests.fakes import SIDE, head_graph, linear_bundle
from tests.proof.data.making import clip_list, wav

# Left where the first number of the sounds is positive: their embeddings are 2 x + 1.
SIGN = np.float32([[[1, 0], [0, 0]], [[1, 0], [0, 0]]])


def with_plans(
    heads: Mapping[str, bytes],
    target: Literal["any", "cpu", "tensorrt"] = "cpu",
    tasks: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Bundle:
    """Two sounds and the task ``side``; each plan has another head.

    Args:
        heads: plan -> its fusion head.
        target: of the plans.
        tasks: by name; ``side`` if left out.
        fields: of the plans.
    """
    chosen = dict(tasks or {"side": SIDE})
    columns = chosen["side"].shape[0]
    weights = {"side": SIGN[:, :, :columns]}
    bundle = linear_bundle(2, tasks=chosen, weights=weights)
    plain = bundle.manifest.plans["fp32"]
    plans, files = {"fp32": plain}, dict(bundle.files)
    for name, model in heads.items():
        ref = file_ref("fusion", ".onnx", model)
        files[ref.name] = model
        graphs = {**plain.graphs, "fusion": ref}
        plans[name] = Plan(
            precision="int8", target=target, graphs=graphs, tolerances=FP32, **fields
        )
    return Bundle.in_memory(bundle.manifest.model_copy(update={"plans": plans}), files)


def biased(right: float) -> bytes:
    """A head that says right unless the embeddings' sum is over this."""
    return head_graph(("ant", "bee"), {"side": SIGN}, bias=(0.0, right))


def matching(bias: float) -> bytes:
    """A head that says that all match whose embeddings' sum is over this."""
    return head_graph(("ant", "bee"), {"side": SIGN[:, :, :1]}, bias=-bias)


def clips(folder: Path, rows: int = 12, **more: Any) -> Path:
    """Clips whose sums of embeddings are 2.5, 3.5, 4.5 and so on: all are left in truth.

    Every third clip lacks ``bee``; speakers take turns, ann with the small sums.
    """
    folder.mkdir(exist_ok=True)
    lines = []
    for number in range(rows):
        # The samples of 16-bit sound are n / 32768.
        value = 8192 * number // rows
        row: dict[str, Any] = {"ant": wav(folder, f"a{number}.wav", value, 0)}
        if number % 3:
            row["bee"] = wav(folder, f"b{number}.wav", value, 1)
        lines.append(
            {
                **row,
                "labels": {"side": "left"},
                "speaker": "ann" if number < rows / 2 else "bob",
                **more,
            }
        )
    return clip_list(folder, lines)
