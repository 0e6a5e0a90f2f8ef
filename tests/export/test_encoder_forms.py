"""What an encoder may return and what it may take: each is exported and held against torch."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from mmedge.export import Encoder  # noqa: E402
from mmedge.proof.trust import load_golden  # noqa: E402
from mmedge.runtime.predictor import Predictor  # noqa: E402
from mmedge.specs import Image, LogMel, Signal, Sound, Text  # noqa: E402
from tests.export.recipes import (  # noqa: E402
    PIXELS,
    TOKENIZER,
    WORDS,
    Flat,
    Head,
    export_to,
    one_picture,
)

pytestmark = pytest.mark.torch

Pair = namedtuple("Pair", ["noise", "vector"])


@dataclass
class Answer:
    noise: Any
    vector: Any = None
    extra: str = "not a tensor"


@dataclass
class ModelOutput(OrderedDict):  # type: ignore[type-arg]  # as transformers does it
    noise: Any = None
    vector: Any = None
    hidden_states: Any = None

    def __post_init__(self) -> None:
        for name in ("noise", "vector"):
            self[name] = getattr(self, name)


class Returning(nn.Module):
    """Gives the embedding among other things, in the form that ``make`` makes."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.flat = Flat()
        self.make = make

    def forward(self, x: Any) -> Any:
        vector = self.flat(x)
        return self.make(vector * 3 + 1, vector)


FORMS: Mapping[str, tuple[Any, str | int | None]] = {
    "pair_of": (lambda noise, vector: (noise, vector), 1),
    "list_of": (lambda noise, vector: [vector, noise, None], 0),
    "named_pair": (Pair, "vector"),
    "dict_of": (lambda noise, vector: {"noise": noise, "vector": vector}, "vector"),
    "data_class": (Answer, "vector"),
    "model_output": (ModelOutput, "vector"),
    "single": (lambda noise, vector: {"vector": vector, "loss": None}, None),
}


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """All forms in one model, so that it is exported once: golden samples and encoders."""
    torch.manual_seed(0)
    encoders = {
        name: Encoder(module=Returning(make), output=output)
        for name, (make, output) in FORMS.items()
    }
    recipe = one_picture(
        modalities=dict.fromkeys(encoders, PIXELS), encoders=encoders, fusion=Head(len(encoders))
    )
    made = export_to(tmp_path_factory.mktemp("forms"), recipe, samples=1)
    assert made.parity.passed
    return load_golden(made.bundle), encoders


@pytest.mark.parametrize("form", FORMS)
def test_the_named_output_is_the_one_that_is_exported(form: str, forms: tuple[Any, Any]) -> None:
    golden, encoders = forms
    pixels = torch.from_numpy(golden.inputs[form]["frames"]).permute(0, 3, 1, 2) / 255
    expected = encoders[form].module.flat(pixels).detach().numpy()
    np.testing.assert_allclose(golden.embeddings[form][form], expected, atol=1e-6)
    assert np.ptp(expected) > 0.1


class Mean(nn.Module):
    """An encoder that shows what it was given: the mean over all but batch and channel."""

    def forward(self, x: Any) -> Any:
        return x.flatten(2).mean(dim=2)


class Shift(nn.Module):
    """A front-end of the user's own: raw uint8 frames in."""

    def forward(self, frames: Any) -> Any:
        return frames.float().permute(0, 3, 1, 2) / 128 - 1


SOUND = {"rate_hz": 1000, "window_ms": 64, "hop_ms": 32, "channels": 2}
SEES = {
    "rgb": (Image(height=4, width=4, mean=(0.1, 0.2, 0.3)), Mean(), 3),
    "bgr": (Image(height=4, width=4, mean=(0.1, 0.2, 0.3), colour="bgr"), Mean(), 3),
    "grey": (Image(height=4, width=4, colour="grey"), Flat(16), 4),
    "clip": (Image(height=4, width=4, frames=3), Flat(144), 4),
    "own": (PIXELS, Encoder(module=Mean(), front_end=Shift()), 3),
    "stereo": (Sound(**SOUND), Mean(), 2),
    "mel": (Sound(**SOUND, log_mel=LogMel(mels=4, fft_size=16, hop=16)), Mean(), 2),
}


@pytest.mark.parametrize("kind", SEES)
def test_every_kind_of_picture_and_sound_goes_through(kind: str, tmp_path: Path) -> None:
    modality, encoder, width = SEES[kind]
    recipe = one_picture(encoder, Head(width=width), modalities={"camera": modality})
    made = export_to(tmp_path, recipe)
    assert made.parity.passed
    shape = made.bundle.manifest.graphs["camera"].inputs[0].shape
    assert shape == {
        "grey": ("batch", 4, 4, 1),
        "clip": ("batch", 3, 4, 4, 3),
        "stereo": ("batch", 2, 64),
        "mel": ("batch", 2, 64),
    }.get(kind, ("batch", 4, 4, 3))
    if kind in ("rgb", "bgr", "own"):
        red = np.zeros((4, 4, 3), np.uint8)
        red[..., 0] = 255
        with Predictor(made.bundle) as predictor:
            (came,) = predictor.encode("camera", _batch(predictor.prepare("camera", red))).values()
        expected = {"rgb": [0.9, -0.2, -0.3], "bgr": [-0.1, -0.2, 0.7], "own": [127 / 128, -1, -1]}
        np.testing.assert_allclose(came[0], expected[kind], atol=1e-6)


class Ids(nn.Module):
    """Texts as transformers encode them: an optional mask, and an option that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(WORDS, 4)

    def forward(self, input_ids: Any, attention_mask: Any = None, train: bool = False) -> Any:
        assert attention_mask is not None
        assert train is False
        here = attention_mask.unsqueeze(2).float()
        return (self.table(input_ids) * here).sum(dim=1) / here.sum(dim=1).clamp(min=1)


def test_an_optional_mask_is_given_and_other_options_are_left_alone(tmp_path: Path) -> None:
    text = Text(tokenizer=str(TOKENIZER), max_tokens=4)
    recipe = one_picture(modalities={"hint": text}, encoders={"hint": Ids()})
    table = recipe.encoders["hint"].table.weight.detach().numpy().copy()
    made = export_to(tmp_path, recipe)
    with Predictor(made.bundle) as predictor:
        feeds = _batch(predictor.prepare("hint", "odd even"))
        (came,) = predictor.encode("hint", feeds).values()
    np.testing.assert_allclose(came[0], (table[3] + table[2]) / 2, atol=1e-6)


class Recurrent(nn.Module):
    """A recurrent network that begins anew in every window, and gives its last state."""

    def __init__(self, kind: Any, batch_first: bool) -> None:
        super().__init__()
        self.net = kind(2, 4, batch_first=batch_first)
        self.batch_first = batch_first

    def forward(self, x: Any) -> Any:
        last = self.net(x if self.batch_first else x.transpose(0, 1))[1]
        return (last[0] if isinstance(last, tuple) else last)[0]


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN])
def test_a_recurrent_encoder_without_state_keeps_its_batch_free(
    kind: Any, batch_first: bool, tmp_path: Path
) -> None:
    imu = Signal(channels=2, rate_hz=50, window_ms=200, hop_ms=100)
    encoder = Recurrent(kind, batch_first)
    made = export_to(tmp_path, one_picture(encoder, Head(), modalities={"camera": imu}))
    assert made.parity.passed
    (embedding,) = made.bundle.manifest.graphs["camera"].outputs
    assert embedding.shape == ("batch", 4)
    windows = np.random.default_rng(0).normal(size=(7, 10, 2)).astype(np.float32)
    with Predictor(made.bundle) as predictor, torch.no_grad():
        (came,) = predictor.encode("camera", {"values": windows}).values()
        np.testing.assert_allclose(came, encoder(torch.from_numpy(windows)), atol=1e-5)


def test_two_cameras_are_two_modalities(tmp_path: Path) -> None:
    front, back = Flat(), Flat(16 * 3 * 2)
    recipe = one_picture(
        modalities={"front": PIXELS, "back": Image(height=8, width=4)},
        encoders={"back": back, "front": front},
        fusion=Head(2),
    )
    made = export_to(tmp_path, recipe)
    assert made.bundle.manifest.presence == ("front", "back")
    findings = made.parity.findings
    assert {f.subset for f in findings if f.subset} == {"front+back", "front", "back", "nothing"}


def _batch(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name: array[None] for name, array in arrays.items()}
