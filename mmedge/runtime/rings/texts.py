"""The line of text that holds."""

from __future__ import annotations

from mmedge.runtime.rings.ring import Ring, Window
from mmedge.runtime.samples import Line

__all__ = ["TextRing"]


class TextRing(Ring):
    """The newest line; an empty one takes the text away (`Window.raw` is then empty)."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._line: Line | None = None
        self._number = -1
        self._taken = -1

    def cut(self, place: tuple[int, ...]) -> Window | None:
        """Give the newest line, if it is the one of that number."""
        return self._window(0) if place == (self._number,) else None

    def _keep(self, sample: Line) -> bool:
        self._line = sample
        self._number += 1
        return True

    def _next(self) -> Window | None:
        if self._number == self._taken:
            return None
        skipped = self._number - self._taken - 1
        self._taken = self._number
        return self._window(skipped)

    def _window(self, skipped: int) -> Window | None:
        line = self._line
        if line is None:
            return None
        return Window(
            raw=line.text,
            begin_ns=line.time_ns,
            end_ns=line.time_ns,
            place=(self._number,),
            skipped=skipped,
        )

    def _clear(self) -> None:
        self._line = None
