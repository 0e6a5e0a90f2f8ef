"""Predictions and events as lines of JSON: the same in files and on the WebSocket."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Literal

from mmedge.runtime.pipeline.tick import Tick

__all__ = ["What", "json_lines"]

What = Literal["ticks", "events"]
"""``ticks``: every prediction; ``events``: only what began or ended."""


def json_lines(tick: Tick, what: What) -> list[str]:
    """Give one line for a prediction, or one for each of its events; no line breaks in them.

    An event's line is the event, the time by the wall clock, and the number of the
    prediction and the digest of the bundle that it came from.
    """
    if what == "ticks":
        return [_line(tick.to_json())]
    if not tick.events:
        return []
    told = tick.to_json()
    origin = {key: told[key] for key in ("utc", "number", "bundle")}
    return [_line({**origin, **asdict(event)}) for event in tick.events]


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
