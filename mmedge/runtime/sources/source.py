"""What every source can do."""

from __future__ import annotations

from typing import Protocol

from mmedge.runtime.samples import Sample, SampleKind

__all__ = ["ENDLESS_MS", "Ended", "Source"]

ENDLESS_MS = 10 * 365 * 24 * 3600 * 1000
"""The patience with a source that may rightly be silent for ever, such as a text."""


class Ended(Exception):  # noqa: N818 - not an error: a file or a text has no more to give
    """The source has come to its natural end; there is nothing to open again."""


class Source(Protocol):
    """One device, stream or file.

    All calls come from one thread. `open` after `close` opens it again: the supervisor
    does so for ever. A source that hangs in `read` is abandoned, and another thread opens
    a fresh object of the same configuration; what hung closes itself when it wakes.
    """

    @property
    def name(self) -> str:
        """For people: ``camera 0``; never a password."""
        ...

    @property
    def kinds(self) -> tuple[SampleKind, ...]:
        """What it gives; one that carries picture and sound names both."""
        ...

    @property
    def patience_ms(self) -> int:
        """Without a sample for so long, it is taken to be dead."""
        ...

    def open(self) -> str:
        """Open it.

        Returns:
            What was granted, for people: ``640x480 MJPG at 30 Hz``.

        Raises:
            SourceError: it is not there, busy, or refuses what was asked of it.
            MissingDependencyError: a package that it needs is not installed.
        """
        ...

    def read(self) -> Sample | None:
        """Wait for the next sample.

        Returns:
            The sample; ``None`` where none came within some 100 ms, so that the caller can
            see whether it is still wanted.

        Raises:
            Ended: it has come to its natural end.
            SourceError: it is gone or broken.
        """
        ...

    def close(self) -> None:
        """Give the device back; closing twice, or what was never opened, is fine.

        Never waits longer than a second, whatever the device does.
        """
        ...
