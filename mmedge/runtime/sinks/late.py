"""A failure between two predictions is told with the next prediction."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["LateError"]


class LateError:
    """Keeps what failed in `Sink.show`, which must not raise, for `Sink.emit`, which may."""

    def __init__(self) -> None:
        self._kept: OSError | None = None

    def keep(self, act: Callable[[], None]) -> None:
        """Do it; keep its `OSError`, and forget an earlier one where it succeeds."""
        try:
            act()
        except OSError as exc:
            self._kept = exc
        else:
            self._kept = None

    def tell(self) -> None:
        """Raise what was kept, every time until the act succeeds again."""
        if self._kept is not None:
            raise OSError(self._kept.errno, self._kept.strerror, self._kept.filename)
