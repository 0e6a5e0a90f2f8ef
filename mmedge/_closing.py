"""What holds a file, a session or a device closes in a ``with``."""

from __future__ import annotations

from abc import ABC, abstractmethod

from typing_extensions import Self

__all__ = ["Closing"]


class Closing(ABC):
    """Closes itself at the end of a ``with``."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is held; closing twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
