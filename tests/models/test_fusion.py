"""What is special about concatenation, gates and attention; the contract has its own file."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from mmedge.models import AttentionFusion  # noqa: E402
from tests.models.heads import CASES, WIDTHS  # noqa: E402

pytestmark = pytest.mark.torch


def test_gates_sum_to_one_over_what_is_present() -> None:
    model = CASES["gated"].build()
    embeddings = [torch.randn(2, width) for width in WIDTHS.values()]
    gates = model.gates(embeddings, torch.tensor([[True, False, True], [False, True, False]]))
    torch.testing.assert_close(gates.sum(dim=1), torch.ones(2, 16))
    assert torch.equal(gates[0, 1], torch.zeros(16))
    assert torch.equal(gates[1, 1], torch.ones(16))


def test_concatenation_puts_the_learned_vector_where_a_modality_is_absent() -> None:
    model, inputs = CASES["concatenation"].build(), CASES["concatenation"].batch(4)
    without = torch.tensor([[False, True, True]]).repeat(4, 1)
    given = {**inputs, "camera": model.absent["camera"].expand(4, 6)}
    torch.testing.assert_close(
        model(inputs, without)["digit"], model(given, torch.ones_like(without))["digit"]
    )


def test_attention_does_not_care_for_the_order_of_the_tokens_of_a_modality() -> None:
    model, inputs = CASES["attention"].build(), CASES["attention"].batch(4)
    presence = torch.ones(4, 3, dtype=torch.bool)
    turned = {**inputs, "mic": inputs["mic"].flip(1)}
    torch.testing.assert_close(model(turned, presence)["digit"], model(inputs, presence)["digit"])


def test_with_nothing_present_attention_finds_its_own_token() -> None:
    model, nothing = CASES["attention"].build(), torch.zeros(4, 3).bool()
    before = model(CASES["attention"].batch(4), nothing)["digit"]
    with torch.no_grad():
        model.nothing.copy_(model.nothing.flip(2))
    assert (model(CASES["attention"].batch(4), nothing)["digit"] - before).abs().max() > 1e-3


def test_attention_agrees_with_torch_multi_head_attention() -> None:
    model, inputs = CASES["attention"].build(), CASES["attention"].batch(4)
    presence = torch.tensor([[True, True, True], [True, False, False]] * 2)
    tokens, mask = model._gather(inputs, presence)
    reference = torch.nn.MultiheadAttention(16, 2, batch_first=True).eval()
    with torch.no_grad():
        reference.in_proj_weight.copy_(
            torch.cat([torch.eye(16), model.key.weight, model.value.weight])
        )
        reference.in_proj_bias.copy_(torch.cat([torch.zeros(16), model.key.bias, model.value.bias]))
        reference.out_proj.weight.copy_(torch.eye(16))
        reference.out_proj.bias.zero_()
        queries = model.queries.expand(4, -1, -1)
        expected, _ = reference(queries, tokens, tokens, key_padding_mask=~mask)
        torch.testing.assert_close(model._attend(tokens, mask), expected)


def test_attention_refuses_a_width_that_its_heads_cannot_share() -> None:
    with pytest.raises(ValueError, match="width=10 must be a multiple of heads=4"):
        AttentionFusion(WIDTHS, {"digit": 4}, width=10, heads=4)
