from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mmedge.demo.recipe import CAMERA, model, recipe  # noqa: E402
from mmedge.demo.report import figures, mean  # noqa: E402
from mmedge.demo.samples import Originals  # noqa: E402
from mmedge.demo.sets import make_set  # noqa: E402
from mmedge.demo.train import (  # noqa: E402
    HEADS,
    Batch,
    TrainConfig,
    Trainer,
    measure,
    to_batch,
    train_seed,
)
from mmedge.export import load_recipe  # noqa: E402

pytestmark = pytest.mark.torch

TINY = TrainConfig(samples=132, epochs=6, batch=44)


@pytest.fixture(scope="module")
def data() -> Batch:
    bar = np.zeros((10, 1, 28, 28), np.uint8)
    for digit in range(10):
        bar[digit, 0, 4:24, 2 * digit : 5 + 2 * digit] = 255
    seconds = np.arange(3_000) / 8_000
    tones = [np.sin(2 * np.pi * (200 + 150 * digit) * seconds) for digit in range(10)]
    originals = Originals(
        images=dict(enumerate(bar)),
        words={digit: [tone.astype(np.float32)] for digit, tone in enumerate(tones)},
    )
    return to_batch(make_set(originals, 0, TINY.samples, CAMERA, training=False, workers=1))


@pytest.mark.parametrize("head", sorted(HEADS))
def test_a_few_steps_lower_the_loss_for_every_head(data: Batch, head: str) -> None:
    config = TrainConfig(head=head)
    torch.manual_seed(0)
    trainer = Trainer(config)
    optimiser = torch.optim.AdamW(trainer.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = trainer.loss(data[slice(0, 66)], torch.Generator().manual_seed(0))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_a_tiny_training_beats_chance_on_what_it_saw(data: Batch) -> None:
    hits = measure(train_seed(data, 0, TINY), data)
    assert sorted(hits) == sorted(
        ["camera", "mic", "hint", "camera+mic", "camera+hint", "mic+hint", "camera+mic+hint"]
    )
    assert hits["camera+mic+hint"].mean() > 0.25


def test_the_same_seed_trains_the_same_model(data: Batch) -> None:
    short = TrainConfig(samples=132, epochs=1, batch=44)
    first, second, other = (train_seed(data, seed, short).state_dict() for seed in (1, 1, 2))
    for name, value in first.items():
        torch.testing.assert_close(value, second[name])
    assert not torch.equal(first["camera.project.weight"], other["camera.project.weight"])


def test_the_recipe_takes_the_shipped_weights() -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    made = load_recipe("mmedge.demo.recipe:recipe")
    weights = safetensors.load_file(made.folder / "weights.safetensors")
    assert made.trained().load_state_dict(weights, strict=True)


def test_the_encoders_of_the_recipe_are_those_of_its_model() -> None:
    made = recipe()
    whole = made.trained()
    assert made.encoder("camera").module is whole.camera
    assert made.encoder("hint").module is whole.hint
    assert made.head.module is whole.fusion
    assert list(made.modalities) == list(whole.fusion.names)


def test_the_whole_model_is_its_encoders_and_its_head(data: Batch) -> None:
    whole = model().eval()
    presence = torch.tensor([[True, False, True]]).repeat(4, 1)
    few = data[slice(0, 4)]
    expected = whole.fusion(whole.encode(*few.inputs()), presence)["digit"]
    assert torch.equal(whole(*few.inputs(), presence)["digit"], expected)
    assert expected.shape == (4, 11)


def test_figures_tell_clean_from_noisy_and_leave_silence_out() -> None:
    label = np.array([0, 1, 2, 10])
    snr_db = np.array([np.inf, 3.0, np.inf, np.nan])
    hits = {
        "mic": np.array([True, False, False, True]),
        "camera+mic+hint": np.array([True, True, True, False]),
    }
    assert figures(hits, label, snr_db) == {
        "accuracy": {"mic": 0.5, "camera+mic+hint": 0.75},
        "mic_clean": 0.5,
        "mic_noisy": 0.0,
        "all_clean": 1.0,
        "all_noisy": 1.0,
    }


def test_means_are_taken_leaf_by_leaf() -> None:
    assert mean([{"a": {"b": 1.0}}, {"a": {"b": 0.5}}]) == {"a": {"b": 0.75}}
