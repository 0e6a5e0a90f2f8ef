from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from mmedge.models import drop_modalities  # noqa: E402

pytestmark = pytest.mark.torch

ROWS = 20_000


def test_each_modality_goes_missing_as_often_as_was_asked() -> None:
    everything = torch.ones(ROWS, 3, dtype=torch.bool)
    kept = drop_modalities(everything, 0.3, torch.Generator().manual_seed(0))
    shares = kept.float().mean(dim=0)
    assert all(share == pytest.approx(0.7, abs=0.015) for share in shares.tolist())
    # Independent of each other: all three are gone in 0.3 ** 3 of the rows.
    assert (~kept).all(dim=1).float().mean().item() == pytest.approx(0.027, abs=0.005)


def test_what_was_absent_stays_absent() -> None:
    presence = torch.tensor([[True, False, True]]).repeat(ROWS, 1)
    for keep_one in (False, True):
        kept = drop_modalities(presence, 0.5, torch.Generator().manual_seed(0), keep_one)
        assert not kept[:, 1].any()
        assert kept[:, 0].any()


def test_with_keep_one_a_row_never_loses_everything_and_none_is_preferred() -> None:
    presence = torch.tensor([[True, False, True, True]]).repeat(ROWS, 1)
    kept = drop_modalities(presence, 1.0, torch.Generator().manual_seed(0), keep_one=True)
    assert kept.sum(dim=1).unique().tolist() == [1]
    assert kept.float().mean(dim=0).tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3], abs=0.015)


def test_with_keep_one_a_row_that_had_nothing_still_has_nothing() -> None:
    nothing = torch.zeros(5, 3, dtype=torch.bool)
    assert not drop_modalities(nothing, 0.5, keep_one=True).any()


def test_the_same_generator_state_drops_the_same() -> None:
    everything = torch.ones(50, 3, dtype=torch.bool)
    first, second = (
        drop_modalities(everything, 0.5, torch.Generator().manual_seed(7)) for _ in range(2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(
        first, drop_modalities(everything, 0.5, torch.Generator().manual_seed(8))
    )


def test_the_presence_that_was_given_is_not_changed() -> None:
    presence = torch.ones(4, 3, dtype=torch.bool)
    drop_modalities(presence, 1.0)
    assert presence.all()


def test_a_probability_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"probability=1\.5 must lie in 0\.\.1"):
        drop_modalities(torch.ones(1, 2, dtype=torch.bool), 1.5)
