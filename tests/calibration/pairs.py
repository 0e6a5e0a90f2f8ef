"""Pairs of the demo's excerpt: a picture, a sound and a hint of one digit."""

from __future__ import annotations

import json
import random
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "mmedge/demo/data"


def write_pairs(path: Path, count: int = 500, *, seed: int = 0) -> Path:
    """Write a list of clips, in three sessions that share no picture and no sound."""
    rows = [json.loads(line) for line in (DATA / "clips.jsonl").read_text().splitlines()]
    pools: dict[tuple[str, int], list[dict[str, object]]] = {}
    for number, row in enumerate(rows):
        pools.setdefault((row["labels"]["digit"], number % 3), []).append(row)
    drawn = random.Random(seed)
    keys = sorted(pools)
    with path.open("w", encoding="utf-8") as lines:
        for number in range(count):
            key = keys[number % len(keys)]
            camera, mic, hint = (drawn.choice(pools[key]) for _ in range(3))
            row = {
                "camera": str(DATA / str(camera["camera"])),
                "mic": str(DATA / str(mic["mic"])),
                "hint": hint["hint"],
                "labels": {"digit": key[0]},
                "session": f"third {key[1]}",
            }
            lines.write(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n")
    return path
