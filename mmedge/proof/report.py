"""What an export said about its proof, read back from the bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmedge.bundle import Bundle
from mmedge.errors import ArtefactError

__all__ = ["ExportReport", "read_report"]


@dataclass(frozen=True, slots=True)
class ExportReport:
    """The report of an export.

    Attributes:
        inputs: what it was proven on: ``seeded`` noise or the user's ``clips``.
        samples: how many.
        notes: what the user was told.
        absence: rows of `mmedge.proof.absence.cost_of_absence`.
    """

    inputs: str
    samples: int
    notes: tuple[str, ...]
    absence: tuple[Mapping[str, Any], ...]


def read_report(bundle: Bundle) -> ExportReport | None:
    """Read the report, or ``None`` where the bundle has none.

    Raises:
        ArtefactError: it is damaged.
    """
    ref = bundle.manifest.reports.get("parity")
    if ref is None:
        return None
    try:
        report = json.loads(bundle.read(ref))
        parity = report["parity"]
        return ExportReport(
            str(parity["inputs"]),
            int(parity["samples"]),
            tuple(map(str, parity["notes"])),
            tuple(_row(row) for row in report["absence"]),
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise ArtefactError(
            f"{ref.name} is not a report of an export; export the model again"
        ) from exc


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    same = {"agreement": float(row["agreement"])} if "agreement" in row else {}
    return {
        "present": str(row["present"]),
        "task": str(row["task"]),
        "change": float(row["change"]),
        **same,
    }
