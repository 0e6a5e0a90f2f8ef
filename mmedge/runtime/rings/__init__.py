"""Rings: bounded memories between the thread of a source and that of an encoder.

What comes in is kept only as long as a window could need it; what comes out is the newest
window (latest wins), or, for an encoder with state, the next one. Windows are cut by the
times of capture, never by counting what has arrived.
"""

from __future__ import annotations

from mmedge.errors import ConfigError
from mmedge.runtime.rings.frames import FrameRing
from mmedge.runtime.rings.ring import Ring, Window
from mmedge.runtime.rings.signals import SignalRing
from mmedge.runtime.rings.sound import SoundRing
from mmedge.runtime.rings.texts import TextRing
from mmedge.specs import Image, Modality, Signal, Sound

__all__ = ["FrameRing", "Ring", "SignalRing", "SoundRing", "TextRing", "Window", "make_ring"]


def make_ring(
    name: str, modality: Modality, *, every: bool = False, consecutive: bool = False
) -> Ring:
    """Make the ring of a modality.

    Args:
        name: the modality's name, for messages.
        modality: its specification.
        every: give every window, one after the other; else the newest.
        consecutive: every window follows on the one before, as an encoder with state
            needs them.

    Raises:
        ConfigError: consecutive windows of something that has none.
    """
    if isinstance(modality, Sound):
        return SoundRing(name, modality, every=every, consecutive=consecutive)
    if isinstance(modality, Signal):
        return SignalRing(name, modality, every=every or consecutive)
    if isinstance(modality, Image):
        return FrameRing(name, modality, every=every or consecutive)
    if consecutive:
        raise ConfigError(f"modality '{name}' is a text: an encoder with state needs windows")
    return TextRing(name)
