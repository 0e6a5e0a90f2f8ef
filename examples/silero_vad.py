"""Is someone speaking? Silero's detector (MIT), which exists as an ONNX file and has a state.

    pip install --no-deps silero-vad
    mmedge export examples/silero_vad.py:recipe -o silero_vad.mmedge
    mmedge predict silero_vad.mmedge speech.wav

It hears 32 ms at a time, each window behind the last 4 ms of the one before, and remembers
what was said in 2 x 128 numbers.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from torch import Tensor, nn

from mmedge import MultiLabel, Sound
from mmedge.errors import MissingDependencyError
from mmedge.export import Encoder, OnnxFile, Recipe, State

RATE_HZ = 16_000


class Logit(nn.Module):
    """The file gives a probability, and a task takes logits; beyond 1e-4 it is just certain."""

    def forward(self, mic: Tensor, presence: Tensor) -> Tensor:
        probability = mic.clamp(1e-4, 1 - 1e-4)
        return (probability / (1 - probability)).log() * presence


def recipe() -> Recipe:
    detector = Encoder(
        module=OnnxFile(_file(), constants={"sr": RATE_HZ}),
        output="output",
        context=64,
        state=(State(name="memory", input="state", output="stateN", shape=(2, "batch", 128)),),
    )
    return Recipe(
        modalities={"mic": Sound(rate_hz=RATE_HZ, window_ms=32, hop_ms=32)},
        encoders={"mic": detector},
        fusion=Logit(),
        tasks={"voice": MultiLabel(labels=("speech",))},
    )


def _file() -> Path:
    """Find the file in the package, whose import would load more than is needed."""
    try:
        package = distribution("silero-vad")
    except PackageNotFoundError as exc:
        raise MissingDependencyError("needed is: pip install --no-deps silero-vad") from exc
    return Path(str(package.locate_file("silero_vad/data/silero_vad.onnx")))
