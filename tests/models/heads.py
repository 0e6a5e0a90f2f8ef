"""Every fusion head, with inputs that fit it. Needs torch: import it after ``importorskip``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from mmedge.models import (
    AttentionFusion,
    ConcatenationFusion,
    DualEncoder,
    ElementwiseFusion,
    GatedFusion,
    HybridFusion,
    JointTransformerFusion,
    LateFusion,
    MatchingHead,
    WeightedFusion,
)

WIDTHS = {"camera": 6, "hint": 5, "mic": 7}
PAIR = {"camera": 6, "hint": 5}


@dataclass(frozen=True)
class Case:
    """A head, what it joins and what it answers."""

    head: Any
    widths: Mapping[str, int] = field(default_factory=lambda: WIDTHS)
    outputs: Mapping[str, int] = field(default_factory=lambda: {"digit": 4, "alarm": 2})

    @property
    def is_pair(self) -> bool:
        return len(self.widths) == 2

    @property
    def task(self) -> str:
        return next(iter(self.outputs))

    def build(self) -> Any:
        """Every weight drawn: what starts at zero would hide a mistake."""
        torch.manual_seed(0)
        module = self.head(self.widths, self.outputs)
        for parameter in module.parameters():
            if parameter.dim():  # not a temperature
                torch.nn.init.normal_(parameter, std=0.3)
        return module.eval()

    def batch(self, size: int, seed: int = 1) -> dict[str, Tensor]:
        """An embedding, tokens with a mask, tokens without one."""
        generator = torch.Generator().manual_seed(seed)
        inputs = {
            "camera": torch.randn(size, 6, generator=generator),
            "hint": torch.randn(size, 3, 5, generator=generator),
            "hint_mask": torch.tensor([[True, True, False]]).repeat(size, 1),
            "mic": torch.randn(size, 4, 7, generator=generator),
        }
        return {n: v for n, v in inputs.items() if n.removesuffix("_mask") in self.widths}

    def subsets(self, rows: int | None = None) -> Tensor:
        """Every subset of the modalities once, or over and over; bool ``[rows, M]``."""
        each = torch.tensor(list(product([False, True], repeat=len(self.widths))))
        return each if rows is None else each.flip(0).repeat(rows, 1)[:rows]

    def everything(self, rows: int) -> Tensor:
        return torch.ones(rows, len(self.widths), dtype=torch.bool)


def pair(head: Any) -> Case:
    return Case(head, PAIR, {"match": 1})


CASES = {
    "concatenation": Case(partial(ConcatenationFusion, hidden=16)),
    "gated": Case(partial(GatedFusion, hidden=16)),
    "attention": Case(partial(AttentionFusion, width=16, heads=2, queries=3)),
    "sum": Case(partial(ElementwiseFusion, how="sum", hidden=16)),
    "mean": Case(partial(ElementwiseFusion, how="mean", hidden=16)),
    "product": Case(partial(ElementwiseFusion, how="product", hidden=16)),
    "weighted": Case(partial(WeightedFusion, hidden=16)),
    "late": Case(LateFusion),
    "hybrid": Case(partial(HybridFusion, hidden=16)),
    "joint": Case(partial(JointTransformerFusion, width=16, heads=2, max_tokens=5)),
    "dual": pair(partial(DualEncoder, width=16)),
    "matching": pair(partial(MatchingHead, width=16)),
}
every_head = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
