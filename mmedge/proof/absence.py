"""What each absence costs: how far the outputs move when modalities are missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmedge.proof.golden import Golden
from mmedge.proof.subsets import row_name
from mmedge.runtime.prediction import task_scores
from mmedge.specs import Classification, Task

__all__ = ["cost_of_absence"]


def cost_of_absence(golden: Golden, tasks: Mapping[str, Task]) -> list[dict[str, Any]]:
    """Compare every subset's outputs with those of the full set.

    Returns:
        per subset and task: ``change``, the mean absolute change of the scores, and, for a
        classification, ``agreement``, the share of samples whose winning label stays. This
        says how much the model leans on a modality, not how right it is without it:
        `mmedge.proof.evaluate` says that, on labelled clips.
    """
    names = tuple(golden.inputs)
    rows = []
    for task, outputs in golden.outputs.items():
        scores = task_scores(tasks[task], outputs)
        for present, each in zip(golden.presence, scores, strict=True):
            row: dict[str, Any] = {
                "present": row_name(names, present),
                "task": task,
                "change": float(f"{abs(each - scores[0]).mean():.6g}"),
            }
            if isinstance(tasks[task], Classification):
                same = each.argmax(axis=-1) == scores[0].argmax(axis=-1)
                row["agreement"] = float(f"{same.mean():.6g}")
            rows.append(row)
    return rows
