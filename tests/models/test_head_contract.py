"""One contract for every head. Their exported graphs are in ``tests/export/test_every_pair.py``."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy  # noqa: E402

from mmedge import models  # noqa: E402
from mmedge.models import drop_modalities  # noqa: E402
from tests.models.heads import CASES, Case, every_head  # noqa: E402

pytestmark = pytest.mark.torch


def test_no_head_is_left_out() -> None:
    from mmedge.models import fusion

    heads = {getattr(case.head, "func", case.head).__name__ for case in CASES.values()}
    assert heads == set(fusion.__all__)
    assert heads <= set(models.__all__)


@every_head
def test_each_task_gets_its_logits(case: Case) -> None:
    logits = case.build()(case.batch(4), case.everything(4))
    shapes = {name: tuple(value.shape) for name, value in logits.items()}
    assert shapes == {task: (4, count) for task, count in case.outputs.items()}


@every_head
@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), -3e38, 7.0])
def test_what_stands_in_an_absent_slot_changes_nothing(case: Case, garbage: float) -> None:
    presence = case.subsets()
    model, inputs = case.build(), case.batch(len(presence))
    before = model(inputs, presence)
    for column, name in enumerate(case.widths):
        inputs[name] = inputs[name].clone()
        inputs[name][~presence[:, column]] = garbage
    inputs["hint"][:, 2] = garbage  # masked there in every row
    after = model(inputs, presence)
    assert all(torch.equal(after[task], before[task]) for task in case.outputs)


@every_head
def test_every_modality_that_is_present_counts(case: Case) -> None:
    model, inputs, presence = case.build(), case.batch(4), case.everything(4)
    before = model(inputs, presence)[case.task]
    for name in case.widths:
        changed = {**inputs, name: inputs[name] + 1.0}
        moved = model(changed, presence)[case.task] - before
        assert moved.abs().amin(dim=0).max() > 1e-3, name


@every_head
def test_nothing_present_gives_the_same_finite_prior_for_any_input(case: Case) -> None:
    logits = case.build()(case.batch(4), ~case.everything(4))[case.task]
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(logits, logits[:1].expand_as(logits))
    assert (logits.abs().max() < 1e-3) == case.is_pair


@every_head
def test_rows_with_different_presence_do_not_disturb_each_other(case: Case) -> None:
    presence = case.subsets()
    model, inputs = case.build(), case.batch(len(presence))
    together = model(inputs, presence)[case.task]
    for row in range(len(presence)):
        alone = {name: value[row : row + 1] for name, value in inputs.items()}
        result = model(alone, presence[row : row + 1])[case.task]
        torch.testing.assert_close(result, together[row : row + 1])


@every_head
def test_a_text_of_which_no_token_stands_is_finite(case: Case) -> None:
    inputs = {**case.batch(4), "hint_mask": torch.zeros(4, 3, dtype=torch.bool)}
    presence = torch.zeros(4, len(case.widths), dtype=torch.bool)
    presence[:, 1] = True
    presence[2:, 0] = True
    assert torch.isfinite(case.build()(inputs, presence)[case.task]).all()


@every_head
def test_absent_modalities_get_no_gradient_and_no_nan(case: Case) -> None:
    model, inputs, presence = case.build(), case.batch(4), case.everything(4)
    presence[:2, 0] = False
    presence[3] = False  # a row with nothing at all must not spoil the others
    inputs["camera"][:2] = torch.nan
    camera, hint = inputs["camera"].requires_grad_(), inputs["hint"].requires_grad_()
    model(inputs, presence)[case.task].sum().backward()
    assert camera.grad is not None
    assert hint.grad is not None
    assert torch.equal(camera.grad[:2], torch.zeros(2, 6))
    for gradient in (camera.grad[2:], hint.grad[2:, :2]):
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 0
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@every_head
def test_a_few_steps_with_modality_dropout_lower_the_loss(case: Case) -> None:
    torch.manual_seed(0)
    model, inputs, presence = case.build().train(), case.batch(24), case.everything(24)
    label = (inputs["camera"][:, 0] + inputs["hint"][:, 0, 0] > 0).long()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    generator = torch.Generator().manual_seed(0)

    def loss(there: Any) -> Any:
        logits = model(inputs, there)[case.task]
        if case.is_pair:
            return binary_cross_entropy_with_logits(logits[:, 0], label.float())
        return cross_entropy(logits, label)

    before = loss(presence).item()
    for _ in range(30):
        optimiser.zero_grad()
        loss(drop_modalities(presence, 0.2, generator)).backward()
        optimiser.step()
    assert loss(presence).item() < 0.7 * before
