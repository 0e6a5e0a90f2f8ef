"""Sinks: where live predictions go. One file each.

Every sink has a thread and a short queue of its own (`mmedge.runtime.pipeline`), so a slow
one loses its oldest messages and delays nobody.
"""

from __future__ import annotations

from mmedge.runtime.sinks.sink import Sink

__all__ = ["Sink"]
