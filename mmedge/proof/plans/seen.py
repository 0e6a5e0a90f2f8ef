"""Were these clips there when plans were chosen? The split of a calibration stays in its bundle."""

from __future__ import annotations

import json

from mmedge.bundle import Bundle
from mmedge.errors import ArtefactError
from mmedge.proof.data import Prepared, Split

__all__ = ["seen_by_calibration"]


def seen_by_calibration(bundle: Bundle, prepared: Prepared) -> str:
    """Warn of clips whose groups a calibration has taken ranges from or chosen plans by.

    Args:
        bundle: the bundle; it may hold no split, or several (of targets calibrated apart).
        prepared: the clips.

    Returns:
        A sentence, or nothing.

    Raises:
        ArtefactError: a split in the bundle is none.
    """
    used: set[int] = set()
    for name, ref in bundle.manifest.reports.items():
        if name == "split" or name.startswith("split_"):
            split = _split(bundle.read(ref), prepared)
            used |= {*split.ranges.tolist(), *split.search.tolist()}
    if not used:
        return ""
    return (
        f"{len(used)} of the {len(prepared)} clips are of speakers, sessions or files that the "
        "calibration took ranges from or chose plans by: these flatter its plans. Take others"
    )


def _split(data: bytes, prepared: Prepared) -> Split:
    try:
        fields = json.loads(data)
        by = fields.get("by")
    except (ValueError, AttributeError) as exc:
        raise ArtefactError(
            f"the bundle's split is no JSON object ({exc}); calibrate again"
        ) from exc
    return Split.from_json(fields, prepared.columns.get(by, prepared.groups))
