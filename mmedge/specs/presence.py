"""Presence: which modalities count in an answer, and how many rows of it explain one."""

from __future__ import annotations

__all__ = ["EXACT_UP_TO", "explanation_rows"]

EXACT_UP_TO = 4
"""Modalities whose shares are computed from all subsets; beyond, each is left out alone."""


def explanation_rows(modalities: int) -> int:
    """Give the rows of presence that one explained answer asks the fusion head for."""
    return 2**modalities if modalities <= EXACT_UP_TO else 2 * modalities + 1
