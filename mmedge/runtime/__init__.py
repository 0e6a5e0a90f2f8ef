"""From raw media to predictions, on a device without torch."""

from __future__ import annotations

__all__: list[str] = []
