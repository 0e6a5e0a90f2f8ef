"""The newest picture and the text that holds, of every modality that has one."""

from __future__ import annotations

from mmedge.runtime.samples import Frame, Line, Sample

__all__ = ["Newest"]


class Newest:
    """Keeps one sample a modality: pictures for a window, texts for a bundle that takes over."""

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}
        self._frames: dict[str, Frame] = {}

    def keep(self, modality: str, sample: Sample) -> None:
        """Keep a picture or a text in place of the one before."""
        if isinstance(sample, Frame):
            self._frames[modality] = sample
        elif isinstance(sample, Line):
            self.lines[modality] = sample

    def frame(self, modality: str | None) -> Frame | None:
        """Give the picture of a modality, or of the first that has one."""
        names = list(self._frames) if modality is None else [modality]
        return next((self._frames[name] for name in names if name in self._frames), None)
