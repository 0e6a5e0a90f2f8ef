"""Time: cutting recordings into the windows that a model sees.

A window that ends at ``end_ns`` is half open: it holds what was captured before
``end_ns``. Ends lie on a fixed grid, so the same files always give the same windows.
`mmedge.runtime.windows.walk` goes along files; what runs live does not load it.
"""

from __future__ import annotations

from mmedge.runtime.windows.cut import cut_sound, latest_frame, pick_frames, window_ends_ns

__all__ = ["cut_sound", "latest_frame", "pick_frames", "window_ends_ns"]
