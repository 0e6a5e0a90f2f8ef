"""All losses at once on a synthetic problem: what is seen, heard and read tells of one secret.

Pairs are incomplete, and every part of the sum has to fall: none may starve the others.
"""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from mmedge.models import (  # noqa: E402
    AttentionFusion,
    ImageViT,
    LearnedTemperature,
    MatchingHead,
    SignalCNN,
    TextTransformer,
    blank_patches,
    draw_negatives,
    draw_patches,
    info_nce_of_all_pairs,
    mask_tokens,
    masked_image_loss,
    masked_language_loss,
    matching_loss,
    total_loss,
)
from mmedge.models.pooling import masked_mean  # noqa: E402

pytestmark = pytest.mark.torch

ROWS, WIDTH, WORDS = 24, 16, 12


class Everything(nn.Module):
    """Three encoders, a fused task, a matching task, and what each modality learns alone."""

    def __init__(self) -> None:
        super().__init__()
        small = {"depth": 1, "heads": 2, "dropout": 0.0}
        self.camera = ImageViT(1, (8, 8), WIDTH, tokens=True, patch=4, **small)
        self.hint = TextTransformer(WORDS, 4, WIDTH, tokens=True, **small)
        self.imu = SignalCNN(2, 4, WIDTH)
        names = dict.fromkeys(("camera", "hint", "imu"), WIDTH)
        self.fusion = AttentionFusion(names, {"secret": 4}, width=WIDTH, dropout=0.0)
        self.paint, self.guess = nn.Linear(WIDTH, 16), nn.Linear(WIDTH, WORDS)
        self.match = MatchingHead(
            {"camera": WIDTH, "hint": WIDTH}, {"match": 1}, width=WIDTH, dropout=0.0
        )
        self.temperature = LearnedTemperature(0.2)


def samples() -> tuple[Any, Any, Any, Any, Any]:
    """Secret, picture, text, signal; a third of the rows lacks a text, another the signal."""
    generator = torch.Generator().manual_seed(0)
    secret = torch.arange(ROWS) % 4
    shade = (secret.float() - 1.5)[:, None, None, None].expand(ROWS, 1, 8, 8)
    image = shade + 0.1 * torch.randn(ROWS, 1, 8, 8, generator=generator)
    ids = 4 + (secret[:, None] * 2 + torch.arange(4) % 2)
    signal = torch.sin(torch.arange(32.0) * 0.2 * (secret[:, None] + 1))[:, :, None].repeat(1, 1, 2)
    presence = torch.ones(ROWS, 3, dtype=torch.bool)
    presence[0::3, 1] = False
    presence[1::3, 2] = False
    signal[1::3] = torch.nan  # nothing is there, and nobody may look
    return secret, image, ids, signal, presence


def parts(model: Everything, generator: Any) -> dict[str, Any]:
    secret, image, ids, signal, presence = samples()
    mask = presence[:, 1:2].expand(ROWS, 4).long()
    hidden = draw_patches(ROWS, 4, 0.5, generator)
    words, chosen = mask_tokens(
        ids, mask, mask_id=3, vocabulary=WORDS, share=0.5, generator=generator
    )
    seen, blanked = model.camera(image), model.camera(blank_patches(image, hidden, 4))
    read, guessed = model.hint(ids, mask), model.hint(words, mask)
    felt = torch.where(
        presence[:, 2:], model.imu(torch.nan_to_num(signal)), torch.zeros(ROWS, WIDTH)
    )
    embeddings = {
        "camera": seen.mean(dim=1),
        "hint": masked_mean(read["tokens"], read["mask"]),
        "imu": felt,
    }
    both = presence[:, 0] & presence[:, 1]
    similarity = embeddings["camera"] @ embeddings["hint"].T
    other = draw_negatives(similarity - 50 * (secret[:, None] == secret), both, generator)
    pairs = {
        "camera": embeddings["camera"].repeat(2, 1),
        "hint": torch.cat([embeddings["hint"], embeddings["hint"][other]]),
    }
    matched = model.match(pairs, torch.ones(2 * ROWS, 2, dtype=torch.bool))["match"]
    inputs = {"camera": seen, "hint": read["tokens"], "hint_mask": read["mask"], "imu": felt}
    return {
        "secret": cross_entropy(model.fusion(inputs, presence)["secret"], secret),
        "match": matching_loss(matched, torch.arange(2 * ROWS) < ROWS, torch.cat([both, both])),
        "camera": masked_image_loss(model.paint(blanked), image, hidden, 4),
        "hint": masked_language_loss(model.guess(guessed["tokens"]), ids, chosen),
        "align": info_nce_of_all_pairs(embeddings, presence, model.temperature()),
    }


def test_the_weighted_sum_over_incomplete_samples_teaches_every_part() -> None:
    torch.manual_seed(0)
    model, generator = Everything(), torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.005)
    history = []
    for _ in range(80):
        each = parts(model, generator)
        tasks = {name: each[name] for name in ("secret", "match")}
        modal = {name: each[name] for name in ("camera", "hint")}
        loss = total_loss(tasks, {"match": 0.5}, each["align"], 0.2, modal=modal, modal_weight=0.5)
        by_hand = each["secret"] + 0.5 * each["match"] + 0.5 * (each["camera"] + each["hint"])
        assert loss.item() == pytest.approx((by_hand + 0.2 * each["align"]).item(), rel=1e-5)
        optimiser.zero_grad()
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
        optimiser.step()
        history.append({name: value.item() for name, value in each.items()})
    for name in history[0]:
        before, after = (sum(h[name] for h in part) / 5 for part in (history[:5], history[-5:]))
        # Equal secrets are no partners, so alignment cannot fall to zero: four of a kind stay.
        assert after < (0.85 if name == "align" else 0.6) * before, (name, before, after)
