from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from mmedge.models import LearnedTemperature, info_nce, total_loss  # noqa: E402

pytestmark = pytest.mark.torch

EYE = [[1.0, 0.0], [0.0, 1.0]]


def test_info_nce_of_two_pairs_worked_by_hand() -> None:
    # Cosines: 1 on the diagonal, 0 beside it; scale 2: -ln(e^2 / (e^2 + e^0)) in every row.
    loss = info_nce(torch.tensor(EYE), torch.tensor(EYE), torch.tensor(math.log(2.0)))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2.0)), abs=1e-6)


def test_info_nce_of_indistinguishable_rows_is_the_logarithm_of_the_batch() -> None:
    same = torch.ones(5, 3)
    assert info_nce(same, same, torch.tensor(1.0)).item() == pytest.approx(math.log(5), abs=1e-6)


def test_info_nce_looks_in_both_directions() -> None:
    # Rows: -ln softmax of (1, 1) and (0, 0): ln 2 both. Columns: (1, 0): ln(1 + 1/e), and
    # (1, 0) with the target second: ln(1 + e).
    a, b = torch.tensor(EYE), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    columns = (math.log(1 + math.exp(-1)) + math.log(1 + math.e)) / 2
    expected = (math.log(2) + columns) / 2
    assert info_nce(a, b, torch.tensor(0.0)).item() == pytest.approx(expected, abs=1e-6)


def test_info_nce_does_not_depend_on_length() -> None:
    a, b = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor(1.5)
    torch.testing.assert_close(info_nce(3 * a, 0.1 * b, scale), info_nce(a, b, scale))


def test_info_nce_leaves_rows_out_that_lack_a_modality() -> None:
    a, b = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    valid = torch.tensor([True, False, True, True, False, True])
    expected = info_nce(a[valid], b[valid], torch.tensor(1.0))
    a[1], b[4] = math.nan, math.inf
    torch.testing.assert_close(info_nce(a, b, torch.tensor(1.0), valid), expected)


def test_info_nce_of_a_single_pair_is_zero_and_has_a_gradient() -> None:
    scale = torch.tensor(1.0, requires_grad=True)
    loss = info_nce(torch.ones(3, 2), torch.ones(3, 2), scale, torch.tensor([True, False, False]))
    loss.backward()
    assert loss.item() == 0
    assert scale.grad is not None


def test_the_temperature_starts_where_clip_does() -> None:
    assert LearnedTemperature()().exp().item() == pytest.approx(1 / 0.07, rel=1e-5)


def test_the_scale_stays_below_a_hundred_and_can_come_back() -> None:
    temperature = LearnedTemperature()
    with torch.no_grad():
        temperature.log_scale.fill_(9.0)
    scale = temperature()
    assert scale.exp().item() == pytest.approx(100.0, rel=1e-5)
    scale.backward()
    assert temperature.log_scale.grad is not None
    assert temperature.log_scale.grad.item() == 1.0


def test_the_total_weighs_tasks_and_alignment() -> None:
    tasks = {"digit": torch.tensor(2.0), "alarm": torch.tensor(3.0)}
    total = total_loss(tasks, {"alarm": 0.5}, torch.tensor(10.0), alignment_weight=0.1)
    assert total.item() == pytest.approx(2.0 + 1.5 + 1.0)
    assert total_loss(tasks).item() == pytest.approx(5.0)


def test_a_weight_for_an_unknown_task_is_refused() -> None:
    with pytest.raises(ValueError, match="alram"):
        total_loss({"alarm": torch.tensor(1.0)}, {"alram": 0.5})
