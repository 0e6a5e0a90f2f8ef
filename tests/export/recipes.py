"""Small models that the export tests share. Needs torch: import it after ``importorskip``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmedge.export import Encoder, ExportConfig, Exported, Recipe, export_bundle
from mmedge.models import ImageCNN, SoundCNN, TextLSTM
from mmedge.specs import Classification, Image, LogMel, MultiLabel, Sound, Text

TOKENIZER = Path(__file__).parent / "words.tokenizer.json"
WORDS = 8

PIXELS = Image(height=4, width=4)
PIXEL_VALUES = 48
CAMERA = Image(height=16, width=12, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.25))
LOG_MEL = LogMel(mels=8, fft_size=64, hop=32)
MIC = Sound(rate_hz=8000, window_ms=200, hop_ms=100, log_mel=LOG_MEL)
HINT = Text(tokenizer=str(TOKENIZER), max_tokens=4)
TASKS = {"digit": Classification(labels=("one", "two")), "alarm": MultiLabel(labels=("a", "b"))}
YES_NO = Classification(labels=("yes", "no"))


class Flat(nn.Module):
    """The smallest encoder: ``[B, ...]`` to ``[B, 4]``."""

    def __init__(self, values: int = PIXEL_VALUES, width: int = 4) -> None:
        super().__init__()
        self.linear = nn.Linear(values, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))


class Words(nn.Module):
    """The smallest text encoder: the mean over all token vectors, padding too."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(WORDS, 4)

    def forward(self, ids: Tensor) -> Tensor:
        return self.table(ids).mean(dim=1)


class Head(nn.Module):
    """The smallest head that knows presence, for any number of embeddings."""

    def __init__(self, embeddings: int = 1, width: int = 4, outputs: int = 2) -> None:
        super().__init__()
        self.linear = nn.Linear(embeddings * width + embeddings, outputs)

    def forward(self, inputs: Mapping[str, Tensor], presence: Tensor) -> Tensor:
        return self.linear(torch.cat([*inputs.values(), presence.float()], dim=1))


def seeing_hearing_reading(head: Any, *, tokens: bool = False) -> Recipe:
    """Three encoders and one of mmedge's heads, all with random weights."""
    torch.manual_seed(0)
    hint = TextLSTM(WORDS, 8, tokens)
    recipe = Recipe(
        modalities={"camera": CAMERA, "mic": MIC, "hint": HINT},
        encoders={
            "camera": ImageCNN(3, 2, 8, tokens),
            "mic": SoundCNN(8, 2, 8, tokens),
            "hint": Encoder(module=hint, output="tokens", mask="mask") if tokens else hint,
        },
        fusion=head(dict.fromkeys(("camera", "mic", "hint"), 8), {"digit": 2, "alarm": 2}),
        tasks=TASKS,
    )
    stir(recipe.trained())
    return recipe


def one_picture(encoder: Any = None, head: Any = None, **changes: Any) -> Recipe:
    """One 4x4 picture, one encoder, one head, one task of two labels."""
    torch.manual_seed(0)
    fields = {
        "modalities": {"camera": PIXELS},
        "encoders": {"camera": Flat() if encoder is None else encoder},
        "fusion": Head() if head is None else head,
        "tasks": {"answer": YES_NO},
    }
    return Recipe(**{**fields, **changes})


def export_to(folder: Path, recipe: Recipe, **options: Any) -> Exported:
    """Export into ``folder/m.mmedge``, with two golden samples unless told otherwise."""
    return export_bundle(
        recipe, ExportConfig(**{"out": folder / "m.mmedge", "samples": 2} | options)
    )


def listing(folder: Path) -> dict[str, int]:
    """Every file and folder below, hidden ones too, with its size."""
    return {
        str(path.relative_to(folder)): path.stat().st_size if path.is_file() else -1
        for path in sorted(folder.rglob("*"))
    }


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below, hidden ones too."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def stages(names: Iterable[str], tasks: Iterable[str]) -> set[str]:
    """The points that a proof has at least, for these modalities and tasks."""
    points = {f"{name}/embedding" for name in names}
    return points | {f"{where}/{task}" for where in ("fusion", "end to end") for task in tasks}


def stir(model: nn.Module) -> None:
    """Give what starts at zero or one other values: it would hide a mistake."""
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
        elif tensor.is_floating_point() and tensor.ndim == 1:
            tensor.normal_(mean=0.2, std=0.4)
