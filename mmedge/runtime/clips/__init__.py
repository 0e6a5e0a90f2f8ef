"""Reading recorded media: pictures, sounds, videos, and lists of labelled clips.

Everything here reads regular files only, never a URL, and refuses what would need
unreasonable memory before it is decoded.
"""

from __future__ import annotations

from mmedge.runtime.clips.kinds import kind_of
from mmedge.runtime.clips.labels import read_label
from mmedge.runtime.clips.lines import Clip, Source, read_clips
from mmedge.runtime.clips.picture import is_image, read_image, read_images
from mmedge.runtime.clips.signal import SignalFile, read_signal
from mmedge.runtime.clips.sound import SoundBlock, SoundFile, open_sound, read_sound
from mmedge.runtime.clips.video import VideoFile, VideoFrame, open_video

__all__ = [
    "Clip",
    "SignalFile",
    "SoundBlock",
    "SoundFile",
    "Source",
    "VideoFile",
    "VideoFrame",
    "is_image",
    "kind_of",
    "open_sound",
    "open_video",
    "read_clips",
    "read_image",
    "read_images",
    "read_label",
    "read_signal",
    "read_sound",
]
