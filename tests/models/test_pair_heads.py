"""Heads that say whether two things belong together: a cosine, or a small network."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from mmedge.models import (  # noqa: E402
    DualEncoder,
    MatchingHead,
    draw_negatives,
    info_nce,
    matching_loss,
)
from tests.models.heads import CASES, PAIR  # noqa: E402

pytestmark = pytest.mark.torch

pair_heads = pytest.mark.parametrize("head", [DualEncoder, MatchingHead])
MATCH = {"match": 1}


def dual() -> Any:
    """Both modalities are in the common space already; the scale is 10."""
    model = DualEncoder({"a": 2, "b": 2}, MATCH, width=2).eval()
    with torch.no_grad():
        for layer in model.project.values():
            layer.weight.copy_(torch.eye(2))
        model.temperature.log_scale.fill_(torch.tensor(10.0).log())
    return model


def test_the_logit_is_the_scaled_cosine() -> None:
    inputs = {
        "a": torch.tensor([[3.0, 0.0], [1.0, 1.0], [0.0, 2.0], [0.0, 0.0]]),
        "b": torch.tensor([[0.5, 0.0], [0.0, 7.0], [0.0, -1.0], [1.0, 0.0]]),
    }
    logits = dual()(inputs, torch.ones(4, 2, dtype=torch.bool))["match"]
    assert logits.shape == (4, 1)
    assert logits.flatten().tolist() == pytest.approx([10.0, 10 / 2**0.5, -10.0, 0.0], abs=1e-5)


def test_embeddings_for_a_gallery_have_length_one() -> None:
    case = CASES["dual"]
    embedded = case.build().embed("camera", case.batch(5)["camera"])
    assert embedded.shape == (5, 16)
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(5))


def test_the_scale_never_exceeds_a_hundred_on_the_device_either() -> None:
    model, same = dual(), torch.tensor([[1.0, 0.0]])
    with torch.no_grad():
        model.temperature.log_scale.fill_(9.0)
    logit = model({"a": same, "b": same}, torch.ones(1, 2, dtype=torch.bool))["match"]
    assert logit.item() == pytest.approx(100.0, rel=1e-5)
    assert model.temperature.log_scale.item() == 9.0  # evaluation changes nothing


@pytest.mark.parametrize("name", ["dual", "matching"])
def test_with_one_of_the_two_absent_the_answer_is_undecided(name: str) -> None:
    case = CASES[name]
    logits = case.build()(case.batch(4), case.subsets())["match"].flatten().tolist()
    assert logits[:3] == [0.0, 0.0, 0.0]
    assert abs(logits[3]) > 1e-3


def test_the_matching_head_compares_both_their_product_and_their_distance() -> None:
    model = MatchingHead({"a": 2, "b": 2}, MATCH, width=2).eval()
    with torch.no_grad():
        for layer in model.project.values():
            layer.weight.copy_(torch.eye(2))
            layer.bias.zero_()
    model.compare = torch.nn.Identity()
    inputs = {"a": torch.tensor([[1.0, 2.0]]), "b": torch.tensor([[3.0, -5.0]])}
    features = model(inputs, torch.ones(1, 2, dtype=torch.bool))["match"]
    assert features.tolist() == [[1, 2, 3, -5, 3, -10, 2, 7]]


@pair_heads
@pytest.mark.parametrize(
    ("widths", "outputs"),
    [
        ({"a": 2}, MATCH),
        ({"a": 2, "b": 2, "c": 2}, MATCH),
        (PAIR, {"match": 2}),
        (PAIR, {"match": 1, "other": 1}),
    ],
)
def test_anything_but_two_modalities_and_one_logit_is_refused(
    head: Any, widths: dict[str, int], outputs: dict[str, int]
) -> None:
    with pytest.raises(ValueError, match=f"{head.__name__} compares two modalities"):
        head(widths, outputs)


def twins(rows: int = 24) -> tuple[Any, Any]:
    """Two views of the same hidden quantities, each through a mixture of its own."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(rows, 4, generator=generator)
    mixes = torch.randn(2, 4, 6, generator=generator)
    return hidden @ mixes[0], (hidden @ mixes[1])[:, :5]


def test_contrast_teaches_the_dual_encoder_to_find_partners() -> None:
    torch.manual_seed(0)
    camera, hint = twins()
    model = DualEncoder(PAIR, MATCH, width=8)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)

    def ranked_first() -> float:
        a, b = model.embed("camera", camera), model.embed("hint", hint)
        return ((a @ b.T).argmax(dim=1) == torch.arange(24)).float().mean().item()

    before = ranked_first()
    for _ in range(120):
        loss = info_nce(
            model.embed("camera", camera), model.embed("hint", hint), model.temperature()
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert before < 0.3
    assert ranked_first() > 0.8


def test_matching_is_learned_from_pairs_and_drawn_negatives() -> None:
    torch.manual_seed(0)
    camera, hint = twins()
    model, both = MatchingHead(PAIR, MATCH, width=16, dropout=0.0), torch.ones(48, 2).bool()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    belong = torch.arange(48) < 24
    losses = []
    for _ in range(100):
        other = draw_negatives(torch.zeros(24, 24), generator=generator)
        inputs = {"camera": torch.cat([camera, camera]), "hint": torch.cat([hint, hint[other]])}
        loss = matching_loss(model(inputs, both)["match"], belong)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(0.69, abs=0.1)
    assert sum(losses[-5:]) / 5 < 0.35
