"""Rewrites: a float32 graph in, the same graph in a lower precision out, by target."""

from __future__ import annotations

__all__: list[str] = []
