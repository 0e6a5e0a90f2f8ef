"""Labelled data: read in any form, split by who made it, prepared once on disk."""

from __future__ import annotations

from mmedge.proof.data.fitness import refuse_unfit
from mmedge.proof.data.prepared import Prepared
from mmedge.proof.data.preparing import prepare_samples
from mmedge.proof.data.reading import read_samples
from mmedge.proof.data.sample import Sample, Unread
from mmedge.proof.data.splitting import Split, split

__all__ = [
    "Prepared",
    "Sample",
    "Split",
    "Unread",
    "prepare_samples",
    "read_samples",
    "refuse_unfit",
    "split",
]
