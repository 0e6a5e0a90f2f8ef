"""Messages for people while the whole screen is drawn on: kept, and told afterwards."""

from __future__ import annotations

import logging
from collections import deque

__all__ = ["HeldLog"]

_MOST = 200


class HeldLog(logging.Handler):
    """Takes the place of the root logger's handlers that write to a terminal.

    What they would have written would stand amid the drawing until that is drawn over, and
    be lost. The newest messages are handed to those handlers when it ends.
    """

    def __init__(self) -> None:
        super().__init__()
        self.newest = ""
        """The message that came last, for people."""
        self._records: deque[logging.LogRecord] = deque(maxlen=_MOST)
        self._replaced: list[logging.Handler] = []

    def begin(self) -> None:
        """Take their place; where there are none, nothing is held."""
        root = logging.getLogger()
        self._replaced = [each for each in root.handlers if _on_a_terminal(each)]
        for handler in self._replaced:
            root.removeHandler(handler)
        if self._replaced:
            root.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.newest = record.getMessage()
        self._records.append(record)

    def end(self) -> None:
        """Give the place back, and hand on what was kept."""
        root = logging.getLogger()
        root.removeHandler(self)
        replaced, self._replaced = self._replaced, []
        for handler in replaced:
            root.addHandler(handler)
            for record in self._records:
                if record.levelno >= handler.level:
                    handler.handle(record)
        self._records.clear()


def _on_a_terminal(handler: logging.Handler) -> bool:
    stream = handler.stream if isinstance(handler, logging.StreamHandler) else None
    return stream is not None and not stream.closed and bool(stream.isatty())
