"""Draws docs/calibrate.svg: what calibrate says of the demo, on pairs of its shipped excerpt.

Run it from the root: python -m scripts.draw_calibrate

It takes a minute, and the latency in it is that of the machine which draws it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests.calibration.pairs import write_pairs

WIDTH, PAIRS = 92, 2_000
COMMAND = ("calibrate", "digits.mmedge", "--data", "pairs.jsonl", "--max-drop", "0.5")


def main() -> None:
    """Calibrate a copy, print, write."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree("mmedge/demo/digits.mmedge", Path(folder) / "digits.mmedge")
        write_pairs(Path(folder) / "pairs.jsonl", PAIRS)
        command = [sys.executable, "-m", "mmedge", *COMMAND]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    said = Text(done.stdout.rstrip())
    said.highlight_regex(r"\b(int8|mixed|fp16)_(tensorrt|cpu)\b", "bold green")
    console.print(said)
    svg = console.export_svg(title=" ".join(("mmedge", *COMMAND)))
    # No fonts from elsewhere: a picture must not ask the network for anything.
    svg = re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL)
    Path("docs/calibrate.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
