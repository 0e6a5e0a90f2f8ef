"""What is special about each way of fusing embeddings or answers; attention has its own file."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from mmedge.models import ElementwiseFusion, HybridFusion, LateFusion  # noqa: E402
from tests.models.heads import CASES  # noqa: E402

pytestmark = pytest.mark.torch

PAIR = {"camera": 2, "mic": 2}
INPUTS = {"camera": torch.tensor([[0.5, -1.0]]), "mic": torch.tensor([[2.0, 0.25]])}
BOTH, CAMERA, NOTHING = (torch.tensor([row]) for row in ([True, True], [True, False], [False] * 2))


def bare(how: Any) -> Any:
    """Nothing but the operation, on ``tanh(h + 0.1)``."""
    model = ElementwiseFusion(PAIR, {"answer": 2}, how=how, hidden=2).eval()
    with torch.no_grad():
        for layer in (*model.values.values(), model.heads["answer"]):
            layer.weight.copy_(torch.eye(2))
            layer.bias.fill_(0.1)
        model.heads["answer"].bias.zero_()
    return model


C1, C2, M1, M2 = (math.tanh(value) for value in (0.6, -0.9, 2.1, 0.35))


@pytest.mark.parametrize(
    ("how", "presence", "expected"),
    [
        ("sum", BOTH, [C1 + M1, C2 + M2]),
        ("mean", BOTH, [(C1 + M1) / 2, (C2 + M2) / 2]),
        ("product", BOTH, [C1 * M1, C2 * M2]),
        ("sum", CAMERA, [C1, C2]),
        ("mean", CAMERA, [C1, C2]),
        ("product", CAMERA, [C1, C2]),
        ("sum", NOTHING, [0.0, 0.0]),
        ("mean", NOTHING, [0.0, 0.0]),
        ("product", NOTHING, [1.0, 1.0]),
    ],
)
def test_what_is_absent_is_the_neutral_element(how: str, presence: Any, expected: Any) -> None:
    assert bare(how)(INPUTS, presence)["answer"][0].tolist() == pytest.approx(expected, abs=1e-6)


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(ValueError, match="how='max': give 'sum', 'mean' or 'product'"):
        ElementwiseFusion(PAIR, {"answer": 2}, how="max")  # type: ignore[arg-type]


def test_learned_weights_sum_to_one_over_what_is_present() -> None:
    model = CASES["weighted"].build()
    with torch.no_grad():
        model.scores.copy_(torch.tensor([0.0, 1.0, 2.0]))
    some = torch.tensor([[True, True, True], [True, False, True], [False, True, False]])
    e = math.e
    expected = [
        [1 / (1 + e + e**2), e / (1 + e + e**2), e**2 / (1 + e + e**2)],
        [1 / (1 + e**2), 0.0, e**2 / (1 + e**2)],
        [0.0, 1.0, 0.0],
    ]
    torch.testing.assert_close(model.weights(some), torch.tensor(expected))


def late() -> Any:
    """The logits are the embeddings; temperatures 2 and 1/2; a prior."""
    model = LateFusion(PAIR, {"answer": 2}).eval()
    with torch.no_grad():
        for name in PAIR:
            model.answers[name]["answer"].weight.copy_(torch.eye(2))
            model.answers[name]["answer"].bias.zero_()
        model.log_temperature.copy_(torch.tensor([2.0, 0.5]).log())
        model.prior["answer"].copy_(torch.tensor([3.0, 4.0]))
    return model


@pytest.mark.parametrize(
    ("presence", "expected"),
    [
        (BOTH, [(0.5 / 2 + 2.0 / 0.5) / 2, (-1.0 / 2 + 0.25 / 0.5) / 2]),
        (CAMERA, [0.25, -0.5]),
        (NOTHING, [3.0, 4.0]),
    ],
)
def test_late_fusion_averages_answers_over_their_temperatures(presence: Any, expected: Any) -> None:
    assert late()(INPUTS, presence)["answer"][0].tolist() == pytest.approx(expected, abs=1e-6)


def test_late_fusion_gives_every_modalitys_own_answer() -> None:
    each = late().each(INPUTS, BOTH)
    assert {name: answers["answer"].tolist() for name, answers in each.items()} == {
        "camera": [[0.5, -1.0]],
        "mic": [[2.0, 0.25]],
    }


def test_a_temperature_learns_to_be_high_where_a_modality_is_sure_and_wrong() -> None:
    torch.manual_seed(0)
    label = torch.randint(2, (200,))
    right = torch.nn.functional.one_hot(label, 2) * 4.0
    wrong = torch.nn.functional.one_hot(torch.randint(2, (200,)), 2) * 4.0
    model, both = late(), torch.ones(200, 2, dtype=torch.bool)
    optimiser = torch.optim.Adam([model.log_temperature], lr=0.1)
    for _ in range(80):
        logits = model({"camera": right, "mic": wrong}, both)["answer"]
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(logits, label).backward()
        optimiser.step()
    camera, mic = model.log_temperature.exp().tolist()
    assert camera < 1
    assert mic > 2


def test_hybrid_fusion_lies_between_its_two_halves() -> None:
    case = CASES["hybrid"]
    model, inputs, presence = case.build(), case.batch(8), case.subsets()
    with torch.no_grad():
        model.share["digit"].fill_(math.log(3))  # sigmoid: 3 / 4
    early, late_half = model.early(inputs, presence), model.late(inputs, presence)
    expected = 0.75 * early["digit"] + 0.25 * late_half["digit"]
    torch.testing.assert_close(model(inputs, presence)["digit"], expected)


def test_hybrid_fusion_starts_with_both_halves_equal() -> None:
    model = HybridFusion(PAIR, {"answer": 2}).eval()
    expected = (model.early(INPUTS, BOTH)["answer"] + model.late(INPUTS, BOTH)["answer"]) / 2
    torch.testing.assert_close(model(INPUTS, BOTH)["answer"], expected)
