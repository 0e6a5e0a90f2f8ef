"""Your own modules: encoders that return what they like, a head that never heard of absence.

From the repository's root:

    python examples/own_modules.py
    mmedge export examples/own_modules.py:recipe -w own_modules.safetensors -o own_modules.mmedge
    mmedge verify own_modules.mmedge

The first line stands for your training; it leaves weights behind. The head was trained with
all modalities present, so the recipe says what it sees in place of one that is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mmedge import Classification, Image, LogMel, Regression, Sound
from mmedge.export import Encoder, Fusion, Recipe

FRONT = Image(height=32, width=48, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
DEPTH = Image(height=24, width=24, colour="grey")
MIC = Sound(
    rate_hz=16_000, window_ms=500, hop_ms=250, log_mel=LogMel(mels=32, fft_size=256, hop=128)
)


@dataclass
class Heard:
    """What the sound encoder returns."""

    embedding: Tensor
    loudness: Tensor


class Picture(nn.Module):
    """Returns a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, kernel_size=5, stride=4)

    def forward(self, picture: Tensor) -> dict[str, Tensor]:
        cells = self.conv(picture).relu()
        return {"map": cells, "pooled": cells.mean(dim=(2, 3))}


class Grey(nn.Module):
    """Returns a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(24 * 24, 8)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        flat = picture.flatten(1)
        return flat, self.linear(flat).tanh()


class Voice(nn.Module):
    """Returns a dataclass."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(32, 8)

    def forward(self, mel: Tensor) -> Heard:
        return Heard(embedding=self.linear(mel.mean(dim=2)), loudness=mel.amax(dim=(1, 2)))


class Head(nn.Module):
    """Takes the embeddings by name and answers two tasks; knows nothing of absence."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(24, 16)
        self.who = nn.Linear(16, 3)
        self.far = nn.Linear(16, 1)

    def forward(self, mic: Tensor, front: Tensor, depth: Tensor) -> dict[str, Tensor]:
        hidden = self.hidden(torch.cat([front, depth, mic], dim=1)).relu()
        return {"who": self.who(hidden), "distance": self.far(hidden).squeeze(1)}


class Model(nn.Module):
    """What was trained, and what the weights file holds."""

    def __init__(self) -> None:
        super().__init__()
        self.picture, self.grey, self.voice, self.head = Picture(), Grey(), Voice(), Head()


def recipe() -> Recipe:
    model = Model()
    return Recipe(
        modalities={"front": FRONT, "depth": DEPTH, "mic": MIC},
        encoders={
            "front": Encoder(module=model.picture, output="pooled"),
            "depth": Encoder(module=model.grey, output=1),
            "mic": Encoder(module=model.voice, output="embedding"),
        },
        fusion=Fusion(module=model.head, absent="mean"),
        tasks={
            "who": Classification(labels=("nobody", "owner", "stranger"), threshold=0.6),
            "distance": Regression(names=("distance",), units=("m",), scale=10.0),
        },
        model=model,
    )


if __name__ == "__main__":
    torch.manual_seed(0)
    save_file(Model().state_dict(), "own_modules.safetensors")
    print("wrote own_modules.safetensors")
