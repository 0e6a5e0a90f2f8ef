"""One encoder's way: a window in, an embedding with its capture interval out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.runtime.predictor import Predictor
from mmedge.runtime.quality import make_watch
from mmedge.runtime.rings import Window
from mmedge.specs import Image, Sound

__all__ = ["Encoding", "EncodingStage"]

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Encoding:
    """What an encoder made of a window.

    Attributes:
        modality: whose.
        number: counts up from 0.
        begin_ns: capture time of the oldest sample that it saw.
        end_ns: capture time of the newest, or the end of the window.
        place: where a recording finds the window again.
        arrays: fusion input -> ``[1, ...]``; empty where the window counts as absent.
        absent: why it does; empty if it does not.
        complaints: how the input was spoiled.
        reset: why the encoder's state began anew; empty if it did not.
        skipped: windows before this one that were never encoded.
        latency_ns: stage -> measured time.
    """

    modality: str
    number: int
    begin_ns: int
    end_ns: int
    place: tuple[int, ...]
    arrays: Mapping[str, Array]
    absent: str = ""
    complaints: tuple[str, ...] = ()
    reset: str = ""
    skipped: int = 0
    latency_ns: Mapping[str, int] = field(default_factory=dict)


class EncodingStage:
    """Watches, prepares and encodes the windows of one modality, in order.

    Live and in a replay it is the same object that does it, so both give the same bits.

    Args:
        name: the modality.
        predictor: an open bundle.
        first: number of the first encoding.
    """

    def __init__(self, name: str, predictor: Predictor, first: int = 0) -> None:
        self.name = name
        modality = predictor.manifest.modalities[name]
        self._predictor = predictor
        self._watch = make_watch(modality)
        self._spoiled_is_absent = (
            isinstance(modality, (Image, Sound)) and modality.quality.policy == "absent"
        )
        self._state = predictor.stream(name)
        self._remembers = name in predictor.manifest.states
        self._left_out = ""
        self.next = first
        """Number of the next encoding."""

    def __call__(self, window: Window) -> Encoding:
        """Encode a window.

        Raises:
            ConfigError: the input is not what the modality takes.
            ArtefactError: the graph fails on it.
        """
        begun = time.perf_counter_ns()
        complaints = self._watch(window)
        absent = ""
        if isinstance(window.raw, str) and not window.raw.strip():
            absent = "no text holds"
        elif complaints and self._spoiled_is_absent:
            absent = f"spoiled: {', '.join(complaints)}"
        reset = window.reset or self._left_out
        self._left_out = "its input was spoiled" if absent and self._remembers else ""
        if window.reset or absent:  # an encoder with state hears every sample, or begins anew
            self._state.reset()
        arrays: Mapping[str, Array] = {}
        prepared_ns = encoded_ns = time.perf_counter_ns()
        if not absent:
            prepared = self._predictor.prepare(self.name, window.raw)
            prepared_ns = time.perf_counter_ns()
            arrays = self._encode(prepared)
            encoded_ns = time.perf_counter_ns()
        number, self.next = self.next, self.next + 1
        return Encoding(
            modality=self.name,
            number=number,
            begin_ns=window.begin_ns,
            end_ns=window.end_ns,
            place=window.place,
            arrays=arrays,
            absent=absent,
            complaints=complaints,
            reset=reset,
            skipped=window.skipped,
            latency_ns={"prepare": prepared_ns - begun, "encode": encoded_ns - prepared_ns},
        )

    def _encode(self, prepared: Mapping[str, Array]) -> Mapping[str, Any]:
        batch = {key: array[None] for key, array in prepared.items()}
        return self._predictor.encode(self.name, batch, state=self._state)
