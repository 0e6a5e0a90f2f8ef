"""The demo's video, to be played into a camera and a microphone."""

from __future__ import annotations

import json
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt
import soxr

from tests.live.rtsp import ROOT
from tests.live.stage import SOUND_HZ

CLIP = ROOT / "mmedge" / "demo" / "clip.mkv"
FILM_HZ = 12
LEAD_MS = 1_500
"""An empty sheet and a quiet room before the first digit."""
_EMPTY_MS = (3_000, 4_500)


@dataclass(frozen=True)
class Scene:
    """What is true from when to when since the beginning; ``None`` where nothing clear is."""

    begin_ms: int
    end_ms: int
    label: str | None


def scenes() -> list[Scene]:
    """The digits, in order."""
    truth = json.loads(CLIP.with_suffix(".json").read_text("utf-8"))
    return [Scene(r["begin_ms"] + LEAD_MS, r["end_ms"] + LEAD_MS, r["label"]) for r in truth]


def film() -> npt.NDArray[np.uint8]:
    """Luma as a camera gives it, uint8 ``[n, 240, 320]`` at 12 Hz."""
    with av.open(str(CLIP)) as file:
        grey = np.stack([each.to_ndarray(format="gray") for each in file.decode(video=0)])
    first, last = (each * FILM_HZ // 1_000 for each in _EMPTY_MS)
    whole = np.concatenate([grey[first:last], grey])
    return (16 + whole.astype(np.float32) * (219 / 255)).round().astype(np.uint8)


def sound() -> npt.NDArray[np.int16]:
    """The same in sound, int16 at 48 kHz."""
    with av.open(str(CLIP)) as file:
        pcm = np.concatenate([each.to_ndarray()[0] for each in file.decode(audio=0)])
        rate_hz = file.streams.audio[0].rate
    first, last = (each * rate_hz // 1_000 for each in _EMPTY_MS)
    whole = np.concatenate([pcm[first:last], pcm]).astype(np.float32)
    resampled = soxr.resample(whole, rate_hz, SOUND_HZ)
    return resampled.clip(-32_768, 32_767).round().astype(np.int16)
