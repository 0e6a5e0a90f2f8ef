"""Cuts recorded sound into blocks of another length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from mmedge.runtime.samples import Block
from mmedge.runtime.windows.cut import NS_PER_S

__all__ = ["recut"]


def recut(blocks: Iterable[Block], block_ms: int) -> Iterator[Block]:
    """Cut unbroken blocks anew; the readings of the clock go with the samples they are of.

    Args:
        blocks: in order.
        block_ms: length of the new ones; the last of a run may be shorter.
    """
    waiting: Block | None = None
    for block in blocks:
        if waiting is not None and (waiting.run, _stop(waiting)) != (block.run, block.index):
            yield waiting
            waiting = None
        whole = block if waiting is None else _join(waiting, block)
        size = max(block.rate_hz * block_ms // 1000, 1)
        while len(whole.samples) >= size:
            first, whole = _split(whole, size)
            yield first
        waiting = whole if len(whole.samples) else None
    if waiting is not None:
        yield waiting


def _stop(block: Block) -> int:
    return block.index + len(block.samples)


def _anchors(block: Block) -> tuple[tuple[int, int], ...]:
    return ((block.index, block.time_ns),) if block.anchors is None else block.anchors


def _join(first: Block, then: Block) -> Block:
    samples = np.concatenate([first.samples, then.samples])
    anchors = (*_anchors(first), *_anchors(then))
    return Block(first.time_ns, samples, first.rate_hz, first.run, first.index, anchors=anchors)


def _split(block: Block, size: int) -> tuple[Block, Block]:
    stop = block.index + size
    anchors = _anchors(block)
    head = tuple(anchor for anchor in anchors if anchor[0] < stop)
    tail = tuple(anchor for anchor in anchors if anchor[0] >= stop)
    later_ns = block.time_ns + size * NS_PER_S // block.rate_hz
    return (
        Block(
            block.time_ns, block.samples[:size], block.rate_hz, block.run, block.index, anchors=head
        ),
        Block(later_ns, block.samples[size:], block.rate_hz, block.run, stop, anchors=tail),
    )
