"""Self-supervision inside a modality: hidden words and blanked patches."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from mmedge.models import (  # noqa: E402
    ImageViT,
    TextTransformer,
    blank_patches,
    draw_patches,
    mask_tokens,
    masked_image_loss,
    masked_language_loss,
)
from mmedge.models.patches import cut_patches  # noqa: E402

pytestmark = pytest.mark.torch

MASK_ID, VOCABULARY = 3, 1000


def masked(seed: int = 0, **options: Any) -> tuple[Any, Any, Any]:
    ids = torch.randint(10, VOCABULARY, (400, 50), generator=torch.Generator().manual_seed(9))
    changed, chosen = mask_tokens(
        ids,
        torch.ones_like(ids),
        mask_id=MASK_ID,
        vocabulary=VOCABULARY,
        generator=torch.Generator().manual_seed(seed),
        **options,
    )
    return ids, changed, chosen


def test_fifteen_in_a_hundred_tokens_are_chosen() -> None:
    assert masked()[2].float().mean().item() == pytest.approx(0.15, abs=0.01)


def test_of_the_chosen_80_are_hidden_10_swapped_and_10_left() -> None:
    ids, changed, chosen = masked(share=0.5)
    hidden = (changed == MASK_ID)[chosen].float().mean().item()
    left = (changed == ids)[chosen].float().mean().item()
    assert hidden == pytest.approx(0.8, abs=0.02)
    assert left == pytest.approx(0.1, abs=0.02)
    swapped = changed[chosen & (changed != ids) & (changed != MASK_ID)]
    assert len(swapped) / chosen.sum().item() == pytest.approx(0.1, abs=0.02)
    assert len(swapped.unique()) > 400  # any token at all
    assert swapped.min() >= 0
    assert swapped.max() < VOCABULARY


def test_what_was_not_chosen_is_as_it_was() -> None:
    ids, changed, chosen = masked()
    assert torch.equal(changed[~chosen], ids[~chosen])
    assert changed.dtype == torch.int64


def test_padding_and_special_tokens_are_never_chosen() -> None:
    ids = torch.tensor([[1, 7, 2, 0, 0]]).repeat(200, 1)
    mask = torch.tensor([[1, 1, 1, 0, 0]]).repeat(200, 1)
    changed, chosen = mask_tokens(ids, mask, mask_id=3, vocabulary=8, special=(1, 2), share=1.0)
    assert chosen.tolist() == [[False, True, False, False, False]] * 200
    assert torch.equal(changed[~chosen], ids[~chosen])


def test_the_same_seed_masks_the_same_tokens() -> None:
    first, again, other = masked(1), masked(1), masked(2)
    assert torch.equal(first[1], again[1])
    assert torch.equal(first[2], again[2])
    assert not torch.equal(first[2], other[2])


def test_a_share_that_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match=r"share=1\.5 must lie in 0\.\.1"):
        masked(share=1.5)
    with pytest.raises(ValueError, match=r"share=-1 must lie in 0\.\.1"):
        draw_patches(1, 4, share=-1)


def test_the_language_loss_is_the_mean_surprise_at_the_chosen_tokens() -> None:
    # P = 3 / 4 for the first token's word, 1 / 2 for the third's; the second does not count.
    logits = torch.tensor([[[math.log(3.0), 0.0], [50.0, 0.0], [0.0, 0.0]]])
    ids = torch.tensor([[0, 1, 1]])
    chosen = torch.tensor([[True, False, True]])
    expected = -(math.log(3 / 4) + math.log(1 / 2)) / 2
    assert masked_language_loss(logits, ids, chosen).item() == pytest.approx(expected, abs=1e-6)


def test_with_nothing_chosen_both_losses_are_zero_with_a_gradient() -> None:
    logits = torch.full((1, 2, 5), math.inf, requires_grad=True)
    loss = masked_language_loss(
        logits, torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1, 2).bool()
    )
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(1, 2, 5))
    predicted = torch.ones(1, 4, 4, requires_grad=True)
    painted = masked_image_loss(predicted, torch.zeros(1, 1, 4, 4), torch.zeros(1, 4).bool(), 2)
    painted.backward()
    assert painted.item() == 0


def test_a_few_steps_of_masked_language_modelling_lower_the_loss() -> None:
    """Every text counts upwards, so that its neighbours tell a hidden word."""
    torch.manual_seed(0)
    ids = 4 + (torch.arange(24)[:, None] + torch.arange(6)) % 8
    encoder = TextTransformer(12, 6, 16, tokens=True, depth=1, heads=2, dropout=0.0)
    guess = torch.nn.Linear(16, 12)
    optimiser = torch.optim.Adam([*encoder.parameters(), *guess.parameters()], lr=0.01)
    generator, losses = torch.Generator().manual_seed(0), []
    for _ in range(100):
        changed, chosen = mask_tokens(
            ids, torch.ones_like(ids), mask_id=3, vocabulary=12, share=0.3, generator=generator
        )
        tokens = encoder(changed, torch.ones_like(ids))["tokens"]
        loss = masked_language_loss(guess(tokens), ids, chosen)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(math.log(12), abs=0.6)
    assert sum(losses[-10:]) / 10 < 0.5 * losses[0]


def test_patches_are_cut_row_by_row_and_hold_channel_by_channel() -> None:
    image = torch.arange(2 * 4 * 6.0).reshape(1, 2, 4, 6)
    patches = cut_patches(image, 2)
    assert patches.shape == (1, 6, 8)
    # Second patch of the first row: columns 2 and 3 of rows 0 and 1, then channel 1.
    assert patches[0, 1].tolist() == [2, 3, 8, 9, 26, 27, 32, 33]
    unfolded = torch.nn.functional.unfold(image, 2, stride=2).transpose(1, 2)
    assert torch.equal(patches, unfolded)


def test_every_row_hides_the_same_number_of_patches_elsewhere() -> None:
    drawn = draw_patches(50, 20, generator=torch.Generator().manual_seed(0))
    again = draw_patches(50, 20, generator=torch.Generator().manual_seed(0))
    assert drawn.sum(dim=1).unique().tolist() == [12]
    assert torch.equal(drawn, again)
    assert drawn.float().mean(dim=0).min() > 0.35
    assert not torch.equal(drawn[0], drawn[1])


def test_blanked_patches_are_zero_and_the_rest_is_untouched() -> None:
    image = torch.arange(1, 25.0).reshape(1, 1, 4, 6)
    blanked = blank_patches(image, torch.tensor([[False, True, False, False, False, True]]), 2)
    assert blanked[0, 0].tolist() == [
        [1, 2, 0, 0, 5, 6],
        [7, 8, 0, 0, 11, 12],
        [13, 14, 15, 16, 0, 0],
        [19, 20, 21, 22, 0, 0],
    ]
    assert image[0, 0, 0, 2] == 3


def test_the_image_loss_is_the_mean_distance_inside_the_masked_patches() -> None:
    image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])  # four patches of one pixel
    predicted = torch.tensor([[[0.0], [5.0], [100.0], [4.5]]])
    masked_ones = torch.tensor([[True, True, False, True]])
    loss = masked_image_loss(predicted, image, masked_ones, 1)
    assert loss.item() == pytest.approx((1.0 + 3.0 + 0.5) / 3)


def test_a_few_steps_of_masked_image_modelling_lower_the_loss() -> None:
    """Every picture is one shade, so that the patches that are left tell those that are not."""
    torch.manual_seed(0)
    images = torch.linspace(-2, 2, 16)[:, None, None, None].expand(16, 1, 8, 8)
    encoder = ImageViT(1, (8, 8), 16, tokens=True, patch=4, depth=1, heads=2, dropout=0.0)
    paint = torch.nn.Linear(16, 16)
    optimiser = torch.optim.Adam([*encoder.parameters(), *paint.parameters()], lr=0.01)
    generator, losses = torch.Generator().manual_seed(0), []
    for _ in range(60):
        hidden = draw_patches(16, 4, 0.5, generator)
        loss = masked_image_loss(
            paint(encoder(blank_patches(images, hidden, 4))), images, hidden, 4
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) / 10 < 0.5 * losses[0]
