"""Data with known numbers, for models with known numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmedge.bundle import Bundle
from mmedge.proof.data import Prepared, Sample, Unread, prepare_samples
from mmedge.runtime.preprocess import make_preprocessor
from tests.fakes import SIDE, linear_bundle
from tests.runtime.media import write_wav

SIDES = linear_bundle(2, tasks={"side": SIDE}, weights={"side": np.ones((2, 2, 2))})
"""Two sounds, ``ant`` and ``bee``, of two samples each; left or right."""


def preparer(bundle: Bundle) -> Callable[[str, Any], Mapping[str, Any]]:
    """What `Predictor.prepare` does, without a session."""
    made = {name: make_preprocessor(name, m) for name, m in bundle.manifest.modalities.items()}
    return lambda name, raw: made[name](raw)


def sound(*samples: float) -> Any:
    return np.array(samples, np.float32)


def prepared(folder: Path, samples: Iterable[Sample | Unread], bundle: Bundle = SIDES) -> Prepared:
    return prepare_samples(samples, preparer(bundle), bundle.manifest, folder / "prepared")


def wav(folder: Path, name: str, *samples: int) -> str:
    """A sound at 1000 Hz; gives its name."""
    folder.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
    write_wav(folder / name, np.array(samples, np.int16), 1000)
    return name


def clip_list(folder: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path = folder / "clips.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path
