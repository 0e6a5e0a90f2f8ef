"""What ``mmedge bench`` finds is found again: medians within 5 % on the same machine.

Six benches of the shipped model, one after the other, whole processes included: five pairs
that follow each other, of which three at least have to agree. On a machine that others use a
pair may differ by more. What a bench says of the machine (busy or not) is printed beside.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mmedge.proof.bench import Bench, BenchConfig, bench_bundle
from mmedge.proof.bench.stages import WHOLE

DEMO = Path(__file__).parents[1] / "mmedge" / "demo" / "digits.mmedge"
LIMIT = 0.05
PAIRS, AGREE = 5, 3


def apart(one: Bench, other: Bench) -> float:
    """Largest difference of a whole's median, as a share of it."""
    return max(
        abs(a.p50_ms[WHOLE] / b.p50_ms[WHOLE] - 1)
        for a, b in zip(one.rows, other.rows, strict=True)
    )


def main() -> None:
    config = BenchConfig(bundle=DEMO, keep=False)
    found = [bench_bundle(config)]
    pairs: list[float] = []
    while len(pairs) < PAIRS:
        found.append(bench_bundle(config))
        moved = max(row.moved for row in found[-1].rows)
        pairs.append(apart(*found[-2:]))
        print(f"apart {pairs[-1]:.1%}, moved meanwhile {moved:.1%}", file=sys.stderr)
    print(f"{found[-1].machine}: {len(found[-1].rows)} rows, {len(found)} benches")
    for row in found[-1].rows:
        print(f"{row.backend} {row.plan}: p50 {row.p50_ms[WHOLE]:.3f} ms, ratio {row.ratio:.2f}")
    agree = sum(pair <= LIMIT for pair in pairs)
    told = ", ".join(f"{pair:.1%}" for pair in sorted(pairs))
    print(f"p50 of two that follow each other apart by {told}: {agree} of {PAIRS} in {LIMIT:.0%}")
    assert agree >= AGREE


if __name__ == "__main__":
    main()
