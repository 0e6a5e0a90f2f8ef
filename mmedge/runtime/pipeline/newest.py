"""The newest sample of every modality."""

from __future__ import annotations

from mmedge.runtime.samples import Frame, Sample

__all__ = ["Newest"]


class Newest:
    """Keeps one sample a modality: for a window, and for a bundle that is to take over."""

    def __init__(self) -> None:
        self._samples: dict[str, Sample] = {}

    def keep(self, modality: str, sample: Sample) -> None:
        """Keep a sample in place of the one before."""
        self._samples[modality] = sample

    def samples(self) -> dict[str, Sample]:
        """Give all as they are now: the sources' threads go on keeping."""
        return dict(self._samples)

    def frame(self, modality: str | None) -> Frame | None:
        """Give the picture of a modality, or of the first that has one."""
        several = [each for name, each in self.samples().items() if modality in (None, name)]
        return next((each for each in several if isinstance(each, Frame)), None)
