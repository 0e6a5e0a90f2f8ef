from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from mmedge.models import (  # noqa: E402
    LearnedTemperature,
    info_nce,
    info_nce_of_all_pairs,
    total_loss,
)

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


def test_info_nce_over_incomplete_pairs_agrees_with_a_loop() -> None:
    a, b = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1))
    there, scale = [0, 2, 3], 2.0

    def cosine(i: int, j: int) -> float:
        return (a[i] @ b[j] / a[i].norm() / b[j].norm()).item()

    terms = []
    for i in there:
        own = scale * cosine(i, i)
        terms.append(math.log(sum(math.exp(scale * cosine(i, j)) for j in there)) - own)
        terms.append(math.log(sum(math.exp(scale * cosine(j, i)) for j in there)) - own)
    valid = torch.tensor([True, False, True, True, False])
    loss = info_nce(a, b, torch.tensor(math.log(scale)), valid)
    assert loss.item() == pytest.approx(sum(terms) / 6, abs=1e-5)


def test_every_pair_of_modalities_is_aligned_over_the_rows_that_have_both() -> None:
    one, two, three = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0))
    presence = torch.tensor(
        [[1, 1, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0, 0]], dtype=torch.bool
    )
    scale = torch.tensor(1.0)
    expected = (
        info_nce(one[[0, 1, 4]], two[[0, 1, 4]], scale)
        + info_nce(one[[0, 2, 4]], three[[0, 2, 4]], scale)
        + info_nce(two[[0, 3, 4]], three[[0, 3, 4]], scale)
    )
    embeddings = {"one": one, "two": two, "three": three}
    for column, value in enumerate(embeddings.values()):
        value[~presence[:, column]] = math.nan
        value.requires_grad_()
    loss = info_nce_of_all_pairs(embeddings, presence, scale)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    for column, value in enumerate(embeddings.values()):
        assert value.grad is not None
        assert torch.equal(value.grad[~presence[:, column]], torch.zeros(2, 4))
        assert torch.isfinite(value.grad).all()


def test_pairs_that_never_meet_cost_nothing() -> None:
    embeddings = {"a": torch.ones(4, 2), "b": torch.ones(4, 2)}
    presence = torch.tensor([[True, False], [False, True]] * 2)
    assert info_nce_of_all_pairs(embeddings, presence, torch.tensor(1.0)).item() == 0


@pytest.mark.parametrize("columns", [1, 3])
def test_presence_that_does_not_fit_the_embeddings_is_refused(columns: int) -> None:
    embeddings = {"a": torch.ones(4, 2), "b": torch.ones(4, 2)}
    with pytest.raises(ValueError, match=rf"{columns} columns for the embeddings \['a', 'b'\]"):
        info_nce_of_all_pairs(embeddings, torch.ones(4, columns).bool(), torch.tensor(1.0))


def test_a_single_modality_has_nothing_to_be_aligned_with() -> None:
    with pytest.raises(ValueError, match="for two modalities or more"):
        info_nce_of_all_pairs({"a": torch.ones(4, 2)}, torch.ones(4, 1).bool(), torch.tensor(1.0))


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


def test_in_evaluation_the_scale_is_held_without_changing_the_parameter() -> None:
    temperature = LearnedTemperature().eval()
    with torch.no_grad():
        temperature.log_scale.fill_(9.0)
    assert temperature().exp().item() == pytest.approx(100.0, rel=1e-5)
    assert temperature.log_scale.item() == 9.0


def test_the_total_weighs_tasks_and_alignment() -> None:
    tasks = {"digit": torch.tensor(2.0), "alarm": torch.tensor(3.0)}
    total = total_loss(tasks, {"alarm": 0.5}, torch.tensor(10.0), alignment_weight=0.1)
    assert total.item() == pytest.approx(2.0 + 1.5 + 1.0)
    assert total_loss(tasks).item() == pytest.approx(5.0)


def test_the_total_adds_what_each_modality_learns_by_itself() -> None:
    modal = {"camera": torch.tensor(4.0), "hint": torch.tensor(6.0)}
    total = total_loss(
        {"digit": torch.tensor(2.0)},
        alignment=torch.tensor(10.0),
        alignment_weight=0.1,
        modal=modal,
        modal_weight=0.25,
    )
    assert total.item() == pytest.approx(2.0 + 0.25 * (4 + 6) + 0.1 * 10)


def test_a_part_of_the_total_without_a_weight_counts_once() -> None:
    total = total_loss(
        {"digit": torch.tensor(2.0)}, alignment=torch.tensor(3.0), modal={"a": torch.tensor(4.0)}
    )
    assert total.item() == pytest.approx(9.0)


def test_no_task_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the tasks are \[\]"):
        total_loss({})


def test_a_weight_for_an_unknown_task_is_refused() -> None:
    with pytest.raises(ValueError, match="alram"):
        total_loss({"alarm": torch.tensor(1.0)}, {"alram": 0.5})
