"""The joint transformer: what attends to what, and encoders that are mere tokenisers."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from mmedge.errors import ConfigError  # noqa: E402
from mmedge.models import (  # noqa: E402
    ImageViT,
    JointTransformerFusion,
    SpectrogramTransformer,
    TextTransformer,
)
from tests.models.heads import CASES, WIDTHS  # noqa: E402

pytestmark = pytest.mark.torch

CASE = CASES["joint"]


def test_the_order_of_the_tokens_of_a_modality_counts() -> None:
    model, inputs, presence = CASE.build(), CASE.batch(4), CASE.everything(4)
    turned = {**inputs, "mic": inputs["mic"].flip(1)}
    difference = model(turned, presence)["digit"] - model(inputs, presence)["digit"]
    assert difference.abs().max() > 1e-3


def test_the_same_content_in_another_modality_is_another_answer() -> None:
    model = JointTransformerFusion({"a": 4, "b": 4}, {"answer": 2}, width=8, heads=2).eval()
    model.enter["b"].project.weight = model.enter["a"].project.weight
    model.enter["b"].position = model.enter["a"].position
    torch.nn.init.normal_(model.enter["b"].modality)
    token = torch.ones(1, 4)
    a, b = (
        model({"a": token, "b": token}, torch.tensor([row]))["answer"]
        for row in ([True, False], [False, True])
    )
    assert (a - b).abs().max() > 1e-3


def test_tokens_of_one_modality_change_how_those_of_another_are_read() -> None:
    # A sum of what each modality says by itself would have no such interaction.
    model, inputs = CASE.build(), CASE.batch(1)

    def answer(*there: bool) -> Any:
        return model(inputs, torch.tensor([there]))["digit"]

    both, camera = answer(True, False, True), answer(True, False, False)
    mic, nothing = answer(False, False, True), answer(False, False, False)
    assert (both - camera - mic + nothing).abs().max() > 1e-2


def test_more_tokens_than_positions_are_refused() -> None:
    inputs = {**CASE.batch(1), "mic": torch.zeros(1, 6, 7)}
    with pytest.raises(ConfigError, match=r"gives 6 tokens, .* positions for 5: .* max_tokens"):
        CASE.build()(inputs, CASE.everything(1))


def test_tokenisers_and_a_joint_transformer_learn_what_no_modality_knows_alone() -> None:
    """Whether the picture's side and the sound's half agree: an exclusive or, as ViLT sees it."""
    torch.manual_seed(0)
    side, half = torch.arange(32) % 2, torch.arange(32) // 2 % 2
    picture = torch.zeros(32, 1, 8, 16)
    picture[..., 4] = torch.where(side == 0, 2.0, -2.0)[:, None, None]
    mel = torch.zeros(32, 8, 16)
    mel[..., 4] = torch.where(half == 0, 2.0, -2.0)[:, None]
    image = ImageViT(1, (8, 16), 16, tokens=True, depth=0)
    sound = SpectrogramTransformer(8, 16, 16, True, patch=(8, 8), stride=(8, 8), depth=0)
    joint = JointTransformerFusion(
        {"camera": 16, "mic": 16}, {"agree": 2}, width=16, heads=2, depth=2, dropout=0.0
    )
    model, both = torch.nn.ModuleList([image, sound, joint]), torch.ones(32, 2, dtype=torch.bool)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.005)
    losses = []
    for _ in range(120):
        logits = joint({"camera": image(picture), "mic": sound(mel)}, both)["agree"]
        loss = torch.nn.functional.cross_entropy(logits, (side == half).long())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2


def test_a_text_tokeniser_fits_with_its_mask() -> None:
    hint = TextTransformer(9, 3, 5, tokens=True, depth=0)(
        torch.tensor([[1, 2, 0]]), torch.tensor([[1, 1, 0]])
    )
    inputs = {**CASE.batch(1), "hint": hint["tokens"], "hint_mask": hint["mask"]}
    assert list(WIDTHS) == ["camera", "hint", "mic"]
    model, only_hint = CASE.build(), torch.tensor([[False, True, False]])
    before = model(inputs, only_hint)["digit"]
    inputs["hint"] = inputs["hint"].index_fill(1, torch.tensor([2]), 9.0)
    assert torch.equal(model(inputs, only_hint)["digit"], before)
