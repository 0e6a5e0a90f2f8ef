"""Draws docs/serve.svg: the live view, some seconds into the demo's clip played in real time.

Run it from the root: python scripts/draw_serve.py
"""

from __future__ import annotations

import re
import time
from collections import deque
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from mmedge import Event, Inputs, Pipeline
from mmedge.runtime.sinks.terminal_view import View, draw

DEMO = Path("mmedge/demo")
AFTER_S, WIDTH, HEIGHT = 5.7, 84, 22


def main() -> None:
    """Play, draw, write."""
    events: deque[tuple[int, Event]] = deque(maxlen=50)
    inputs = Inputs(files=(str(DEMO / "clip.mkv"),))
    with Pipeline.open(DEMO / "digits.mmedge", inputs) as pipeline:
        pipeline.push("hint", "has a loop")
        end_s = time.monotonic() + AFTER_S
        for tick in pipeline:
            events.extend((tick.utc_ns, event) for event in tick.events)
            if time.monotonic() > end_s:
                break
        status = pipeline.status()
    view = draw(View(tick=tick, status=status, events=events), WIDTH, HEIGHT)
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    console.print(Text("\n", no_wrap=True).join(view))
    svg = console.export_svg(title="mmedge serve --play clip.mkv --text 'has a loop'")
    # No fonts from elsewhere: a picture must not ask the network for anything.
    svg = re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL)
    Path("docs/serve.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
