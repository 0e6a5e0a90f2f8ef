"""Train the demo's model: ``python -m mmedge.demo.train --speech DIR``.

Cross-entropy on random subsets of the modalities, plus contrastive alignment of each pair
of embeddings. Writes the weights of the first seed and what was measured with every seed.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import combinations, compress, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mmedge._optional import require
from mmedge.demo.originals import SPLITS, load_originals
from mmedge.demo.recipe import CAMERA, EMBEDDING, LOG_MEL, MIC, DigitsModel
from mmedge.demo.report import count_originals, figures, mean
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
    mask_spectrogram,
    total_loss,
)

__all__ = ["Batch", "TrainConfig", "Trainer", "measure", "to_batch", "train_seed"]

logger = logging.getLogger(__name__)

ORIGINS = "trained on the Free Spoken Digit Dataset (CC-BY-SA-4.0) and MNIST; see ORIGINS.md"
# Seeds of the training sets are 0, 1, 2...: these stay clear of them.
TEST_SEEDS = {"test": 1_000, "choose": 2_000}
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
    # A sixth faster on a CPU. torch's own type hints do not know that modules take it.
    trainer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = config.epochs * (len(data) // config.batch)
    optimiser = torch.optim.AdamW(trainer.parameters(), lr=config.rate, weight_decay=0.02)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.rate, max(steps, 2))
    for step, rows in enumerate(_order(len(data), config, generator)):
        batch = data[rows]
        loss = trainer.loss(_augment(batch, generator), generator)
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


def _augment(batch: Batch, generator: torch.Generator) -> Batch:
    mic = mask_spectrogram(batch.mic, bands=7, frames=20, generator=generator)
    return Batch(**{**vars(batch), "mic": mic})


@torch.no_grad()
def measure(model: DigitsModel, data: Batch) -> dict[str, NDArray[np.bool_]]:
    """Predict every sample from every subset of modalities but the empty one.

    Args:
        model: in evaluation mode.
        data: samples of one split.

    Returns:
        Subset, such as ``camera+mic`` -> bool ``[N]``: was the prediction right?
    """
    parts = [model.encode(*data[slice(at, at + 500)].inputs()) for at in range(0, len(data), 500)]
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    hits = {}
    for subset in list(product((True, False), repeat=len(MODALITIES)))[:-1]:
        presence = torch.tensor([subset]).expand(len(data), -1)
        best = model.fusion(found, presence)["digit"].argmax(dim=1)
        hits["+".join(compress(MODALITIES, subset))] = (best == data.label).numpy()
    return hits


def run(speech: Path, out: Path, seeds: int, config: TrainConfig) -> dict[str, Any]:
    """Train every seed, each on samples of its own, and write weights and report.

    The other heads are trained with seed 0 as well, to compare.

    Args:
        speech: folder of the recordings.
        out: folder that gets ``weights.safetensors`` (seed 0) and ``training.json``.
        seeds: how many.
        config: how to train.

    Returns:
        The report: ``seeds`` and their ``mean``, and ``heads`` with seed 0 of each.
    """
    originals = {split: load_originals(speech, split) for split in SPLITS}
    tests = {
        split: make_set(originals[split], seed, config.tests, CAMERA, training=False)
        for split, seed in TEST_SEEDS.items()
    }
    found: dict[str, list[Any]] = {head: [] for head in (config.head, *HEADS)}
    for seed in range(seeds):
        data = to_batch(make_set(originals["train"], seed, config.samples, CAMERA, training=True))
        for head in found if seed == 0 else (config.head,):
            model = train_seed(data, seed, replace(config, head=head))
            if seed == 0 and head == config.head:
                _save(model, out / "weights.safetensors")
            found[head].append({split: _test(model, samples) for split, samples in tests.items()})
            logger.info("seed %d, %s: %s", seed, head, json.dumps(found[head][-1]))
    about = {"config": asdict(config), "torch": torch.__version__, **count_originals(originals)}
    own, heads = found[config.head], {head: each[0] for head, each in found.items()}
    report = {**about, "mean": mean(own), "seeds": own, "heads": heads}
    (out / "training.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    return report


def _test(model: DigitsModel, samples: SampleSet) -> dict[str, Any]:
    return figures(measure(model, to_batch(samples)), samples.label, samples.snr_db)


def _save(model: DigitsModel, path: Path) -> None:
    save_file = require("safetensors.torch", extra="export", why="training the demo").save_file
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, path, {"origins": ORIGINS})


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description="Train the demo's model.")
    parser.add_argument("--speech", type=Path, required=True, help="folder of the recordings")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--head", choices=sorted(HEADS), default=TrainConfig.head)
    parser.add_argument("--samples", type=int, default=TrainConfig.samples)
    parser.add_argument("--epochs", type=int, default=TrainConfig.epochs)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    config = TrainConfig(head=options.head, samples=options.samples, epochs=options.epochs)
    run(options.speech, options.out, options.seeds, config)


if __name__ == "__main__":
    main()
