"""What is special about each encoder that is built on the transformer, and about signals."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from mmedge.errors import ConfigError  # noqa: E402
from mmedge.models import (  # noqa: E402
    ClipOfFrames,
    ImageViT,
    SignalCNN,
    SpectrogramTransformer,
    TextTransformer,
)

pytestmark = pytest.mark.torch

IDS = [[3, 5, 2, 0, 0], [1, 4, 4, 4, 1]]
MASK = [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


def text(**options: Any) -> Any:
    torch.manual_seed(0)
    return TextTransformer(8, 6, 16, heads=2, depth=2, **options).eval()


def test_the_tokens_of_a_vit_are_its_patches_row_by_row() -> None:
    torch.manual_seed(0)
    model = ImageViT(3, (16, 24), 8, tokens=True, depth=0).eval()
    image = torch.zeros(1, 3, 16, 24)
    changed = image.clone()
    changed[:, :, 7, 23] = 5.0  # the last patch of the first row
    difference = (model(changed) - model(image)).abs().amax(dim=2)[0]
    assert difference.nonzero().flatten().tolist() == [2]


def test_with_depth_every_patch_knows_of_every_other() -> None:
    torch.manual_seed(0)
    model = ImageViT(3, (16, 24), 8, tokens=True, depth=1, heads=2).eval()
    image = torch.zeros(1, 3, 16, 24)
    changed = image.clone()
    changed[:, :, :8, :8] = 5.0
    assert (model(changed) - model(image)).abs().amax(dim=2).min() > 1e-6


def test_a_patch_elsewhere_is_another_picture() -> None:
    torch.manual_seed(0)
    model = ImageViT(1, (16, 16), 8, heads=2).eval()
    left, right = torch.zeros(2, 1, 1, 16, 16)
    left[..., :8, :8], right[..., :8, 8:] = 2.0, 2.0
    assert (model(left) - model(right)).abs().max() > 1e-4


def test_a_picture_that_patches_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match=r"size=\(16, 20\) must be multiples of patch=8"):
        ImageViT(3, (16, 20), 8)


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"got \[2, 3, 24, 16\], .* \[B, 3, 16, 24\]"):
        ImageViT(3, (16, 24), 8)(torch.zeros(2, 3, 24, 16))


def test_patches_of_a_spectrogram_overlap() -> None:
    torch.manual_seed(0)
    model = SpectrogramTransformer(
        20, 30, 8, tokens=True, patch=(8, 8), stride=(6, 6), depth=0
    ).eval()
    mel = torch.zeros(1, 20, 30)
    changed = mel.clone()
    changed[:, 0, 7] = 5.0  # frames 0..7 and 6..13 both hold it
    difference = (model(changed) - model(mel)).abs().amax(dim=2)[0]
    assert difference.nonzero().flatten().tolist() == [0, 1]


def test_ten_seconds_of_sound_have_as_many_patches_as_in_the_paper() -> None:
    # Gong et al. 2021: 128 mels and 1,024 frames (with a stride of 10) are 12 x 101 patches.
    assert SpectrogramTransformer(128, 1024, 8, depth=0).patches.grid == (12, 101)


def test_a_spectrogram_smaller_than_a_patch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(8, 50\) has no patch of \(16, 16\)"):
        SpectrogramTransformer(8, 50, 8)


def test_the_embedding_of_a_text_is_the_mean_of_the_tokens_that_stand() -> None:
    model = text()
    embedding = model(torch.tensor(IDS), torch.tensor(MASK))
    model.tokens = True
    tokens = model(torch.tensor(IDS), torch.tensor(MASK))["tokens"]
    torch.testing.assert_close(embedding[0], (tokens[0, 0] + tokens[0, 1] + tokens[0, 2]) / 3)
    torch.testing.assert_close(embedding[1], tokens[1].mean(dim=0))


def test_what_stands_in_the_padding_of_a_text_changes_nothing() -> None:
    model, other = text(), [[3, 5, 2, 7, 6], IDS[1]]
    mask = torch.tensor(MASK)
    assert torch.equal(model(torch.tensor(IDS), mask), model(torch.tensor(other), mask))


def test_more_padding_changes_nothing_either() -> None:
    model, short = text(), torch.tensor([[3, 5, 2]])
    padded = torch.tensor([[3, 5, 2, 0, 0, 0]])
    torch.testing.assert_close(
        model(short, torch.ones_like(short)), model(padded, (padded > 0).long())
    )


def test_a_text_is_read_in_both_directions() -> None:
    model, mask = text(tokens=True), torch.ones(1, 3, dtype=torch.int64)
    before = model(torch.tensor([[1, 2, 3]]), mask)["tokens"]
    after = model(torch.tensor([[1, 2, 4]]), mask)["tokens"]
    assert (before - after)[0, 0].abs().max() > 1e-5


def test_the_order_of_the_words_counts() -> None:
    model, mask = text(), torch.ones(1, 3, dtype=torch.int64)
    there, back = torch.tensor([[1, 2, 3]]), torch.tensor([[3, 2, 1]])
    assert (model(there, mask) - model(back, mask)).abs().max() > 1e-3


def test_an_empty_text_is_zeros() -> None:
    nothing = torch.zeros(1, 5, dtype=torch.int64)
    assert torch.equal(text()(nothing, nothing), torch.zeros(1, 16))


def test_a_text_longer_than_the_positions_is_refused() -> None:
    long = torch.zeros(1, 7, dtype=torch.int64)
    with pytest.raises(ConfigError, match="got 7 tokens, but has positions for 6"):
        text()(long, long)


def ramps(count: int, seed: int) -> tuple[Any, Any]:
    """Clips that get darker or brighter: the same frames in another order."""
    darker = torch.arange(count) % 2
    level = torch.linspace(-1, 1, 4) * (1 - 2 * darker)[:, None]
    noise = torch.randn(count, 4, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return level[:, :, None, None, None] + 0.3 * noise, darker


def test_the_order_of_the_frames_can_be_learned() -> None:
    torch.manual_seed(0)
    model = ClipOfFrames(1, 4, 2, 8, heads=2, depth=1, dropout=0.0)
    head = torch.nn.Linear(8, 2)
    optimiser = torch.optim.Adam([*model.parameters(), *head.parameters()], lr=0.01)
    for step in range(60):
        clips, darker = ramps(32, seed=step)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(head(model(clips)), darker).backward()
        optimiser.step()
    clips, darker = ramps(100, seed=1000)
    right = head(model.eval()(clips)).argmax(dim=1) == darker
    assert right.float().mean() > 0.9


def test_frames_are_encoded_each_by_itself_before_they_meet() -> None:
    torch.manual_seed(0)
    model = ClipOfFrames(1, 3, 2, 8, tokens=True, depth=0).eval()
    clip = torch.randn(2, 3, 1, 16, 16)
    changed = clip.clone()
    changed[1, 2] += 1.0
    difference = (model(changed) - model(clip)).abs().amax(dim=2)
    assert difference.nonzero().tolist() == [[1, 2]]


@pytest.mark.parametrize("shape", [(2, 4, 1, 16, 16), (2, 1, 16, 16)])
def test_a_clip_of_another_length_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"has positions for \[B, 3, C, H, W\]"):
        ClipOfFrames(1, 3, 2, 8)(torch.zeros(shape))


def test_tokens_of_a_signal_follow_time() -> None:
    torch.manual_seed(0)
    model = SignalCNN(2, 4, 8, tokens=True).eval()
    signal = torch.zeros(1, 80, 2)
    changed = signal.clone()
    changed[:, 40:48] = 3.0
    difference = (model(changed) - model(signal)).abs().amax(dim=2)[0]
    assert difference.shape == (10,)
    # A token sees 3 + 2 * 2 + 4 * 1 samples to either side of its own.
    assert difference.nonzero().flatten().tolist() == [4, 5, 6, 7]


@pytest.mark.parametrize(("samples", "moments"), [(1, 1), (7, 1), (50, 7), (64, 8)])
def test_a_signal_may_have_any_length(samples: int, moments: int) -> None:
    model = SignalCNN(3, 4, 8, tokens=True).eval()
    assert model(torch.zeros(2, samples, 3)).shape == (2, moments, 8)
