"""The demo's model: handwritten digits seen by a camera, heard by a microphone, hinted at.

``mmedge export mmedge.demo.recipe:recipe --weights weights.safetensors`` makes the bundle;
it is also an example of how a recipe is written.
"""

from __future__ import annotations

from torch import Tensor, nn

from mmedge.demo.hints import MAX_TOKENS, TOKENIZER, vocabulary
from mmedge.demo.samples import LABELS
from mmedge.export import Encoder, Recipe
from mmedge.models import (
    AttentionFusion,
    ConcatenationFusion,
    GatedFusion,
    ImageCNN,
    SoundCNN,
    TextLSTM,
)
from mmedge.specs import Classification, Image, LogMel, Sound, Text

__all__ = ["CAMERA", "HINT", "MIC", "DigitsModel", "model", "recipe"]

CAMERA = Image(
    height=32, width=32, filter="pillow-bilinear", fit="cover", colour="grey", mean=(0.5,),
    std=(0.25,),
)  # fmt: skip
# 25 ms every 10 ms; the floor lies where a quiet microphone's own noise does.
LOG_MEL = LogMel(
    mels=40, fft_size=256, frame=200, hop=80, low_hz=60.0, mel="htk", norm=None, floor=1e-6,
    mean=-6.0, std=4.0,
)  # fmt: skip
MIC = Sound(rate_hz=8_000, window_ms=1_000, hop_ms=250, log_mel=LOG_MEL, downmix="mean")
HINT = Text(tokenizer=TOKENIZER.name, max_tokens=MAX_TOKENS)

Head = type[ConcatenationFusion] | type[GatedFusion] | type[AttentionFusion]

# Channels after the first convolution of camera and mic; length of every embedding.
WIDTH, EMBEDDING = 16, 64


class DigitsModel(nn.Module):
    """Three encoders and a fusion head.

    Args:
        head: kind of the fusion head.
        tokens: whether camera and mic give tokens, which only attention gains from.
    """

    def __init__(self, head: Head = ConcatenationFusion, *, tokens: bool = False) -> None:
        super().__init__()
        self.camera = ImageCNN(CAMERA.channels, WIDTH, EMBEDDING, tokens)
        self.mic = SoundCNN(LOG_MEL.mels, WIDTH, EMBEDDING, tokens)
        self.hint = TextLSTM(len(vocabulary()), EMBEDDING, tokens=True)
        widths = dict.fromkeys(("camera", "mic", "hint"), EMBEDDING)
        self.fusion = head(widths, {"digit": len(LABELS)})

    def forward(
        self, camera: Tensor, mic: Tensor, ids: Tensor, mask: Tensor, presence: Tensor
    ) -> dict[str, Tensor]:
        """Predict from what the front-ends give.

        Args:
            camera: float32 ``[B, 1, 32, 32]``, normalised.
            mic: float32 ``[B, 40, 101]``, log-mel.
            ids: int64 ``[B, 8]``.
            mask: int64 ``[B, 8]``.
            presence: bool ``[B, 3]``: camera, mic, hint.

        Returns:
            ``{"digit": logits [B, 11]}``.
        """
        logits: dict[str, Tensor] = self.fusion(self.encode(camera, mic, ids, mask), presence)
        return logits

    def encode(self, camera: Tensor, mic: Tensor, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Give what the fusion head takes, by name."""
        hint = self.hint(ids, mask)
        return {
            "camera": self.camera(camera),
            "mic": self.mic(mic),
            "hint": hint["tokens"],
            "hint_mask": hint["mask"],
        }


def model() -> DigitsModel:
    """Give the untrained model."""
    return DigitsModel()


def recipe() -> Recipe:
    """Give the recipe; the exporter loads the weights into it."""
    whole = model()
    return Recipe(
        name="digits",
        modalities={"camera": CAMERA, "mic": MIC, "hint": HINT},
        encoders={
            "camera": whole.camera,
            "mic": whole.mic,
            "hint": Encoder(module=whole.hint, output="tokens", mask="mask"),
        },
        fusion=whole.fusion,
        tasks={"digit": Classification(labels=LABELS, threshold=0.5, background=("nothing",))},
        model=whole,
    )
