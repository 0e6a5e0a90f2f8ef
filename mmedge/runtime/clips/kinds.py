"""What a file holds, told by its content and not by its name."""

from __future__ import annotations

import os
from typing import Literal

from mmedge.errors import SourceError
from mmedge.runtime.clips.container import Container, check_file
from mmedge.runtime.clips.picture import is_image
from mmedge.runtime.clips.signal import is_signal

__all__ = ["kind_of"]


def kind_of(path: str | os.PathLike[str]) -> Literal["image", "sound", "video", "signal"]:
    """Tell a picture, a sound, a video (with or without sound) and a signal apart.

    A sound file with a cover picture is a sound; an animated GIF, PNG or WebP is a video.

    Raises:
        SourceError: missing, empty, unreadable, or neither of them.
        ResourceError: a picture of more than 64 megapixels.
        MissingDependencyError: not a picture, and PyAV is not installed.
    """
    path = check_file(path)
    if is_signal(path):
        return "signal"
    if is_image(path):
        return "image"
    with Container(path) as container:
        if container.video is not None:
            return "video"
        if container.sound is not None:
            return "sound"
    raise SourceError(f"'{path}' has neither pictures nor sound; give another file")
