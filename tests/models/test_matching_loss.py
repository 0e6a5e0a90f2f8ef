from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from mmedge.models import draw_negatives, matching_loss  # noqa: E402

pytestmark = pytest.mark.torch


def test_the_matching_loss_worked_by_hand() -> None:
    # sigmoid(ln 3) = 3 / 4, right; sigmoid(0) = 1 / 2; sigmoid(ln 3) again, but wrong.
    logits = torch.tensor([[math.log(3.0)], [0.0], [math.log(3.0)]])
    belong = torch.tensor([True, False, False])
    expected = -(math.log(3 / 4) + math.log(1 / 2) + math.log(1 / 4)) / 3
    assert matching_loss(logits, belong).item() == pytest.approx(expected, abs=1e-6)


def test_incomplete_pairs_do_not_count() -> None:
    logits = torch.tensor([[1.0], [math.nan], [-2.0]], requires_grad=True)
    belong, valid = torch.tensor([True, True, False]), torch.tensor([True, False, True])
    loss = matching_loss(logits, belong, valid)
    torch.testing.assert_close(loss, matching_loss(logits[[0, 2]], belong[[0, 2]]))
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1].item() == 0


def test_no_pair_at_all_is_zero_with_a_gradient() -> None:
    logits = torch.ones(2, 1, requires_grad=True)
    nobody = torch.zeros(2, dtype=torch.bool)
    loss = matching_loss(logits, nobody, nobody)
    loss.backward()
    assert loss.item() == 0


def test_a_negative_is_never_the_row_itself() -> None:
    similarity = 50 * torch.eye(6)
    for seed in range(20):
        drawn = draw_negatives(similarity, generator=torch.Generator().manual_seed(seed))
        assert (drawn != torch.arange(6)).all()


def test_negatives_are_drawn_by_the_softmax_of_their_similarity() -> None:
    similarity = torch.tensor([[9.0, math.log(3.0), 0.0]]).repeat(3, 1)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([draw_negatives(similarity, generator=generator) for _ in range(4000)])
    # Row 0 chooses between 1 and 2 at 3 : 1; row 1 nearly always takes 0.
    assert (drawn[:, 0] == 1).float().mean().item() == pytest.approx(0.75, abs=0.02)
    assert (drawn[:, 1] == 0).float().mean().item() == pytest.approx(0.9999, abs=0.002)


def test_rows_that_lack_a_modality_neither_draw_nor_are_drawn() -> None:
    similarity = torch.zeros(5, 5)
    similarity[1], similarity[:, 1] = math.nan, math.nan
    valid = torch.tensor([True, False, True, False, True])
    for seed in range(20):
        drawn = draw_negatives(similarity, valid, torch.Generator().manual_seed(seed)).tolist()
        assert set(drawn[::2]) <= {0, 2, 4}
        assert all(drawn[row] != row for row in (0, 2, 4))
        assert (drawn[1], drawn[3]) == (1, 3)


def test_a_row_without_any_other_keeps_its_own_partner() -> None:
    assert draw_negatives(torch.zeros(1, 1)).tolist() == [0]
    assert draw_negatives(torch.zeros(3, 3), torch.tensor([False, True, False])).tolist() == [
        0,
        1,
        2,
    ]
