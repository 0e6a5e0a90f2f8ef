"""Train the demo's model: ``python -m mmedge.demo.train --speech DIR``.

Cross-entropy on random subsets of the modalities, plus contrastive alignment of each pair
of embeddings. Writes the weights of the first seed and what was measured with every seed.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mmedge._optional import require
from mmedge.demo.originals import HELD_OUT_SPEAKER, load_originals
from mmedge.demo.recipe import CAMERA, EMBEDDING, LOG_MEL, MIC, DigitsModel
from mmedge.demo.samples import NOTHING
from mmedge.demo.sets import SampleSet, make_set
from mmedge.models import (
    AttentionFusion,
    ConcatenationFusion,
    GatedFusion,
    LearnedTemperature,
    LogMelFrontEnd,
    NormaliseFrontEnd,
    drop_modalities,
    info_nce,
    total_loss,
)

__all__ = ["Batch", "TrainConfig", "Trainer", "measure", "to_batch", "train_seed"]

logger = logging.getLogger(__name__)

MODALITIES = ("camera", "mic", "hint")
# Head -> its class, and whether camera and mic give it tokens.
HEADS: dict[str, tuple[Any, bool]] = {
    "concatenation": (ConcatenationFusion, False),
    "gated": (GatedFusion, False),
    "attention": (AttentionFusion, True),
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How one seed is trained and tested.

    Attributes:
        head: one of ``HEADS``.
        samples: made for training; each is seen ``epochs`` times, masked differently.
        tests: made for testing.
        epochs: passes over the samples.
        batch: samples per step.
        rate: largest learning rate (AdamW, one cycle; Smith and Topin 2018).
        alignment: weight of the contrastive loss.
        absent: probability of each modality to be dropped.
        draws: subsets of modalities that each sample is fused with per step; the
            encoders, which cost the most, run once.
    """

    head: str = "concatenation"
    samples: int = 24_000
    tests: int = 4_400
    epochs: int = 8
    batch: int = 128
    rate: float = 4e-3
    alignment: float = 0.05
    absent: float = 0.4
    draws: int = 3


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What the front-ends give, and the labels; shapes as in ``DigitsModel.forward``."""

    camera: Tensor
    mic: Tensor
    ids: Tensor
    mask: Tensor
    label: Tensor

    def __getitem__(self, rows: Tensor | slice) -> Batch:
        return Batch(**{name: value[rows] for name, value in vars(self).items()})

    def __len__(self) -> int:
        return len(self.label)

    def inputs(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give what the encoders take."""
        return self.camera, self.mic, self.ids, self.mask


class Trainer(nn.Module):
    """The model and what only its training needs: projections and a temperature.

    Args:
        config: how to train.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config
        head, tokens = HEADS[config.head]
        self.model = DigitsModel(head, tokens=tokens)
        self.project = nn.ModuleDict({name: nn.Linear(EMBEDDING, 32) for name in MODALITIES})
        self.temperature = LearnedTemperature()

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Task over random subsets of modalities, plus alignment of each pair.

        Args:
            batch: of samples.
            generator: draws the subsets.

        Returns:
            Scalar.
        """
        config, model = self.config, self.model
        found = model.encode(*batch.inputs())
        many = {name: torch.cat([value] * config.draws) for name, value in found.items()}
        everything = torch.ones(len(batch) * config.draws, len(MODALITIES), dtype=torch.bool)
        presence = drop_modalities(everything, config.absent, generator)
        logits = model.fusion(many, presence)["digit"]
        label = torch.cat([batch.label] * config.draws)
        task = cross_entropy(logits, label, label_smoothing=0.05)
        return total_loss({"digit": task}, None, self._alignment(found), config.alignment)

    def _alignment(self, found: dict[str, Tensor]) -> Tensor:
        scale = self.temperature()
        pooled = {n: found[n].mean(dim=1) if found[n].ndim == 3 else found[n] for n in MODALITIES}
        shared = {name: self.project[name](value) for name, value in pooled.items()}
        pairs = [info_nce(shared[a], shared[b], scale) for a, b in combinations(MODALITIES, 2)]
        return torch.stack(pairs).sum()


def to_batch(samples: SampleSet) -> Batch:
    """Run the front-ends, which nothing trains, once over a whole set."""
    normalise, log_mel = NormaliseFrontEnd(CAMERA), LogMelFrontEnd(LOG_MEL, MIC.rate_hz)
    with torch.no_grad():
        pcm = torch.from_numpy(samples.mic).split(500)
        return Batch(
            camera=normalise(torch.from_numpy(samples.camera)),
            mic=torch.cat([log_mel(part.float() / 32_768) for part in pcm]),
            ids=torch.from_numpy(samples.ids),
            mask=torch.from_numpy(samples.mask),
            label=torch.from_numpy(samples.label),
        )


def train_seed(data: Batch, seed: int, config: TrainConfig) -> DigitsModel:
    """Train one model.

    Args:
        data: all training samples.
        seed: of weights, order and masks.
        config: how to train.

    Returns:
        The model, in evaluation mode.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    trainer = Trainer(config).train()
    trainer.to(memory_format=torch.channels_last)  # a sixth faster on a CPU
    steps = config.epochs * (len(data) // config.batch)
    optimiser = torch.optim.AdamW(trainer.parameters(), lr=config.rate, weight_decay=0.02)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.rate, max(steps, 2))
    for step, rows in enumerate(_order(len(data), config, generator)):
        batch = data[rows]
        loss = trainer.loss(_mask_spectrogram(batch, generator), generator)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trainer.parameters(), 2.0)
        optimiser.step()
        cycle.step()
        if step % 100 == 0:
            logger.info("seed %d step %d of %d: loss %.3f", seed, step, steps, loss.item())
    return trainer.model.eval()


def _order(count: int, config: TrainConfig, generator: torch.Generator) -> Iterator[Tensor]:
    for _ in range(config.epochs):
        order = torch.randperm(count, generator=generator)
        yield from order[: count - count % config.batch].split(config.batch)


def _mask_spectrogram(batch: Batch, generator: torch.Generator) -> Batch:
    """Blank a random band and a random stretch of each spectrogram (Park et al. 2019)."""
    mic = batch.mic
    for axis, longest in ((1, 7), (2, 20)):
        size = mic.shape[axis]
        draw = torch.rand(2, len(batch), 1, generator=generator)
        begin, length = draw[0] * size, draw[1] * longest
        at = torch.arange(size)
        blank = (at >= begin) & (at < begin + length)
        mic = torch.where(blank.unsqueeze(3 - axis), mic.amin(dim=(1, 2), keepdim=True), mic)
    return Batch(**{**vars(batch), "mic": mic})


@torch.no_grad()
def measure(model: DigitsModel, data: Batch, snr_db: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Accuracy of every subset of modalities, and of the mic with and without noise.

    Args:
        model: in evaluation mode.
        data: samples of one split.
        snr_db: float64 ``[N]`` as in ``SampleSet``.

    Returns:
        ``subsets``: "camera+mic" and so on -> accuracy, 0..1; ``mic`` and ``all``: accuracy
        over the spoken samples, ``clean`` and ``noisy``.
    """
    parts = [model.encode(*data[slice(at, at + 500)].inputs()) for at in range(0, len(data), 500)]
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    correct = {}
    for subset in product((True, False), repeat=3):
        presence = torch.tensor([subset]).expand(len(data), 3)
        name = "+".join(m for m, here in zip(MODALITIES, subset, strict=True) if here)
        best = model.fusion(found, presence)["digit"].argmax(dim=1)
        correct[name] = (best == data.label).numpy()
    spoken = data.label.numpy() != NOTHING
    clean, noisy = spoken & np.isposinf(snr_db), spoken & np.isfinite(snr_db)
    rows = {"clean": clean, "noisy": noisy}
    return {
        "subsets": {name: float(hits.mean()) for name, hits in correct.items() if name},
        "mic": {what: float(correct["mic"][where].mean()) for what, where in rows.items()},
        "all": {what: float(correct["camera+mic+hint"][where].mean()) for what, where in rows.items()},
    }


