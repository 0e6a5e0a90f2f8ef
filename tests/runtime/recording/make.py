"""Small recordings, written by the writers themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.recording.layout import HEADER, Header
from mmedge.runtime.recording.writer import (
    LinesWriter,
    LogWriter,
    PicturesWriter,
    SoundWriter,
    TrackWriter,
)
from mmedge.runtime.samples import Block, Frame, Sample
from mmedge.specs import Image, Modality, Signal, Sound

MS = 1_000_000
BEGUN_NS = 5_000_000_000


def picture(index: int, *, height: int = 33, width: int = 47, order: Any = "rgb") -> Frame:
    """Noise of its own, 40 ms after the one before."""
    pixels = np.random.default_rng(index).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Frame(BEGUN_NS + index * 40 * MS + 123, pixels, order)


def block(
    index: int, *, count: int = 480, channels: int = 1, rate_hz: int = 48_000, run: int = 1
) -> Block:
    """Noise of its own, following on the one before."""
    samples = np.random.default_rng(index).integers(-32_768, 32_768, (count, channels), np.int16)
    time_ns = BEGUN_NS + index * count * 1_000_000_000 // rate_hz + 7
    return Block(time_ns, samples, rate_hz, run, index * count)


def header(modalities: Mapping[str, Modality], **changes: Any) -> Header:
    told: dict[str, Any] = {
        "bundle": "0" * 64,
        "model": "tests",
        "modalities": dict(modalities),
        "live": asdict(LiveConfig()),
        "begun_ns": BEGUN_NS,
        "begun_utc_ns": 1_795_564_800_000_000_000,
        "complete": True,
    }
    return Header(**{**told, **changes})


SPECS: dict[str, Modality] = {
    "camera": Image(height=32, width=32),
    "mic": Sound(rate_hz=16_000, window_ms=500, hop_ms=250),
    "motion": Signal(channels=2, rate_hz=100, window_ms=100, hop_ms=100),
}


def write(
    folder: Path, tracks: Mapping[str, Iterable[Sample]], *, lossless: bool = True, **changes: Any
) -> Path:
    """A whole recording; ``changes`` are the header's."""
    folder.mkdir()
    described = {}
    for name, samples in tracks.items():
        writer: TrackWriter
        if SPECS[name].kind == "image":
            writer = PicturesWriter(folder, name, lossless=lossless)
        elif SPECS[name].kind == "sound":
            writer = SoundWriter(folder, name)
        else:
            writer = LinesWriter(folder, name)
        with writer:
            for sample in samples:
                writer.write(sample)
        described[name] = writer.track(0)
    LogWriter(folder).close()
    told = header({name: SPECS[name] for name in tracks}, tracks=described, **changes)
    (folder / HEADER).write_text(told.model_dump_json())
    return folder


def same(one: Sample, other: Sample) -> bool:
    """Whether nothing at all differs."""
    if isinstance(one, Frame) and isinstance(other, Frame):
        told = (one.time_ns, one.order) == (other.time_ns, other.order)
        return told and np.array_equal(one.pixels, other.pixels)
    assert isinstance(one, Block)
    assert isinstance(other, Block)
    told = (one.time_ns, one.rate_hz, one.run, one.index) == (
        other.time_ns,
        other.rate_hz,
        other.run,
        other.index,
    )
    return told and np.array_equal(one.samples, other.samples)
