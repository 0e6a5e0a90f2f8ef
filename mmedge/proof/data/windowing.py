"""Which windows of a clip the model hears, and which it answers at.

Without state an encoder hears a clip's first window, as `predict` and the golden samples
take it. One that remembers hears the windows in order, and the model answers at the last
at which most of the clip's modalities are there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Any

import numpy as np

from mmedge.runtime.preprocess import Pcm, Raw
from mmedge.runtime.preprocess.sound import conform
from mmedge.runtime.windows.walk import WindowSample
from mmedge.specs import Modality, Signal, Sound

__all__ = ["MAX_STEPS", "answered", "cut_raw"]

MAX_STEPS = 60
"""Windows of one clip that an encoder with state hears; what follows is not read."""

Heard = tuple[dict[str, Raw], dict[str, tuple[Raw, ...]]]


def answered(windows: Iterable[WindowSample], remembering: Collection[str]) -> Heard:
    """Choose the window that is answered, and what was heard before it.

    Args:
        windows: of one clip, in order.
        remembering: the modalities whose encoder has a state.

    Returns:
        modality -> raw input, and modality -> the windows before since its state last began
        anew: at the beginning, behind a window that is absent, and around one that was not
        recorded whole. Both are empty if there is nothing in any window.
    """
    chains: dict[str, list[Raw]] = {name: [] for name in remembering}
    heard: Heard = {}, {}
    for window in islice(windows, MAX_STEPS if remembering else 1):
        whole = {name for name in chains if name in window.raw and name not in window.broken}
        for name in set(chains) - whole:
            chains[name].clear()
        if window.raw and len(window.raw) >= len(heard[0]):
            heard = window.raw, {name: tuple(chains[name]) for name in whole if chains[name]}
        for name in whole:
            chains[name].append(window.raw[name])
    return heard


def cut_raw(name: str, modality: Modality, raw: Any, *, remembers: bool) -> list[Any]:
    """Cut a raw input that may be longer than a window, as the walk along files cuts it.

    Args:
        name: the modality's name, for messages.
        modality: its specification.
        raw: as a preprocessor takes it, but a sound or a signal may be longer.
        remembers: give its windows in order, at most `MAX_STEPS`, not only the first.

    Raises:
        ConfigError: a sound that the modality does not take.
    """
    if isinstance(modality, Sound) and isinstance(raw, Pcm):
        samples = conform(raw, modality, name)
        raw = samples[0] if modality.channels == 1 else samples
    if not isinstance(modality, (Sound, Signal)) or not isinstance(raw, np.ndarray) or not raw.ndim:
        return [raw]
    along = raw.ndim - 1 if isinstance(modality, Sound) else 0
    count = min(max(raw.shape[along] // modality.samples, 1), MAX_STEPS if remembers else 1)
    ends = [modality.samples * number for number in range(1, count + 1)]
    return [
        raw.take(range(end - modality.samples, min(end, raw.shape[along])), along) for end in ends
    ]
