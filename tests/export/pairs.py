"""Every encoder of mmedge.models beside every head. Needs torch: import it after ``importorskip``.

Each encoder gives 8 numbers, as one embedding or as four tokens, so that a head's graph does
not know which encoder they come from: graphs are exported once and then meet in many bundles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mmedge.bundle import Bundle
from mmedge.errors import MmedgeError
from mmedge.export import Encoder, ExportConfig, Recipe
from mmedge.export.draft import Draft
from mmedge.export.reference import run_golden
from mmedge.manifest import FUSION
from mmedge.models import (
    ClipOfFrames,
    ImageCNN,
    ImageViT,
    SignalCNN,
    SoundCNN,
    SpectrogramTransformer,
    TextLSTM,
    TextTransformer,
)
from mmedge.proof import Parity, verify
from mmedge.specs import (
    Classification,
    Image,
    LogMel,
    Matching,
    Modality,
    MultiLabel,
    Signal,
    Sound,
    Task,
    Text,
)
from tests.export.recipes import TOKENIZER, WORDS, stir
from tests.models.heads import CASES

WIDTH = 8
PICTURE = Image(height=16, width=16, mean=(0.4,), std=(0.3,))
CLIP = Image(height=16, width=8, frames=4)
SOUND = Sound(rate_hz=8000, window_ms=124, hop_ms=62, log_mel=LogMel(mels=8, fft_size=64, hop=32))
TEXT = Text(tokenizer=str(TOKENIZER), max_tokens=4)
SIGNAL = Signal(channels=2, rate_hz=32, window_ms=1000, hop_ms=500)

ENCODERS: Mapping[str, tuple[Modality, Callable[[bool], nn.Module]]] = {
    "ImageCNN": (PICTURE, lambda tokens: ImageCNN(3, 2, WIDTH, tokens)),
    "ImageViT": (PICTURE, lambda tokens: ImageViT(3, (16, 16), WIDTH, tokens, depth=1, heads=2)),
    "ClipOfFrames": (CLIP, lambda tokens: ClipOfFrames(3, 4, 2, WIDTH, tokens, depth=1, heads=2)),
    "SoundCNN": (SOUND, lambda tokens: SoundCNN(8, 2, WIDTH, tokens)),
    "SpectrogramTransformer": (
        SOUND,
        lambda tokens: SpectrogramTransformer(
            8, 32, WIDTH, tokens, patch=(8, 8), stride=(8, 8), depth=1, heads=2
        ),
    ),
    "TextLSTM": (TEXT, lambda tokens: TextLSTM(WORDS, WIDTH, tokens)),
    "TextTransformer": (
        TEXT,
        lambda tokens: TextTransformer(WORDS, 4, WIDTH, tokens, depth=1, heads=2),
    ),
    "SignalCNN": (SIGNAL, lambda tokens: SignalCNN(2, 2, WIDTH, tokens)),
}
FORMS = [(name, tokens) for name in ENCODERS for tokens in (False, True)]
HEADS = tuple(CASES)
PARTNER = ("TextLSTM", True)
"""What every encoder is joined with: tokens with a mask."""
FOUR = {
    "camera": ("ImageViT", True),
    "mic": ("SoundCNN", False),
    "hint": ("TextTransformer", True),
    "imu": ("SignalCNN", True),
}
"""Image, sound, text and signal at once."""

Form = tuple[str, bool]


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt: a proof and the bundle, or the reason why there is none."""

    parity: Parity | None = None
    bundle: Bundle | None = None
    fresh: tuple[str, ...] = ()
    """The graphs that no bundle before had."""
    refusal: str = ""


def join(forms: Mapping[str, Form], head: str) -> Outcome:
    """Export encoders and a head and prove them together, or tell why they are refused.

    Whatever is not refused in words is raised.
    """
    try:
        recipe = Recipe(
            modalities={name: ENCODERS[form[0]][0] for name, form in forms.items()},
            encoders={name: encoder_of(form) for name, form in forms.items()},
            fusion=_head(head, tuple(forms)),
            tasks=_tasks(head, tuple(forms)),
        )
        return _prove(recipe, forms, head)
    except (MmedgeError, ValueError) as exc:
        return Outcome(refusal=str(exc))


def _prove(recipe: Recipe, forms: Mapping[str, Form], head: str) -> Outcome:
    draft = Draft(recipe, ExportConfig(out=Path("pair.mmedge"), samples=2))
    raws, _ = draft.samples()
    reference, _ = draft.reference(raws)
    golden = run_golden(reference, raws, draft.preprocessors)
    kinds = tuple((name, kind_of(form)) for name, form in forms.items())
    parts: dict[str, Any] = {name: (name, form) for name, form in forms.items()}
    parts[FUSION] = (head, kinds)
    fresh = tuple(name for name, key in parts.items() if key not in _known)
    for name, key in parts.items():
        if name in fresh:
            draft.add(name, reference, golden)
        else:
            draft.keep(name, _known[key], golden)
    parity = verify(draft.unproven(), golden=golden)
    bundle = draft.finish(golden, golden, parity)
    if parity.passed:
        _known.update({parts[name]: bundle for name in fresh})
    return Outcome(parity, bundle, fresh)


_known: dict[Any, Bundle] = {}
"""Part -> a bundle that it was exported into and proven in."""


def kind_of(form: Form) -> str:
    """What an encoder gives to a head."""
    name, tokens = form
    if not tokens:
        return "embedding"
    return "tokens, mask" if name.startswith("Text") else "tokens"


@cache
def encoder_of(form: Form) -> Encoder:
    """The one encoder of this form, every weight drawn."""
    torch.manual_seed(0)
    module = ENCODERS[form[0]][1](form[1])
    stir(module)
    if kind_of(form) == "tokens, mask":
        return Encoder(module=module, output="tokens", mask="mask")
    return Encoder(module=module)


@cache
def _head(name: str, modalities: tuple[str, ...]) -> nn.Module:
    torch.manual_seed(0)
    sizes = {task: spec.shape[0] for task, spec in _tasks(name, modalities).items()}
    module: nn.Module = CASES[name].head(dict.fromkeys(modalities, WIDTH), sizes)
    stir(module)
    return module


def _tasks(head: str, modalities: tuple[str, ...]) -> dict[str, Task]:
    if CASES[head].is_pair:
        return {"match": Matching(between=modalities[:2])}
    return {"digit": Classification(labels=("a", "b", "c")), "alarm": MultiLabel(labels=("x",))}
