"""Text from bundles, devices and people, made fit to be drawn in a terminal or a window."""

from __future__ import annotations

import unicodedata

__all__ = ["clean"]

# Controls, formats (which turn the writing direction among others), halves of characters,
# private ones, and what breaks lines.
_UNFIT = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(text: str) -> str:
    """Replace every character that could move a cursor or hide another by a full stop."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("." if unicodedata.category(each) in _UNFIT else each for each in text)
