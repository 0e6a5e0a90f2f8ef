from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from mmedge.models.transformer import Transformer, TransformerBlock, attend  # noqa: E402

pytestmark = pytest.mark.torch

MASK = torch.tensor([[True, True, True, False], [True, False, False, False]])


def tokens(seed: int = 0) -> Any:
    return torch.randn(2, 4, 16, generator=torch.Generator().manual_seed(seed))


def block() -> Any:
    torch.manual_seed(0)
    module = TransformerBlock(16, 4)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module.eval()


def test_attention_worked_by_hand() -> None:
    # Scores 2 * 1 / sqrt(4) = 1 and 0: weights e / (e + 1) and 1 / (e + 1).
    query = torch.tensor([[[2.0, 0.0, 0.0, 0.0]]])
    key = torch.tensor([[[1.0, 0.0, 0.0, 0.0], [0.0, 5.0, 0.0, 0.0]]])
    value = torch.tensor([[[10.0, 0.0, 0.0, 0.0], [0.0, 20.0, 0.0, 0.0]]])
    found = attend(query, key, value, heads=1)[0, 0].tolist()
    first = math.e / (math.e + 1)
    assert found == pytest.approx([10 * first, 20 * (1 - first), 0, 0], abs=1e-5)


def test_each_head_of_attention_looks_for_itself() -> None:
    query = torch.tensor([[[9.0, 0.0, 0.0, 9.0]]])
    key = torch.tensor([[[9.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 9.0]]])
    value = torch.tensor([[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]])
    assert attend(query, key, value, heads=2)[0, 0].tolist() == pytest.approx([1, 2, 7, 8])


def test_a_row_with_no_token_to_look_at_is_finite() -> None:
    nothing = torch.zeros(2, 4, dtype=torch.bool)
    assert torch.isfinite(attend(tokens(1), tokens(2), tokens(3), 2, nothing)).all()


@pytest.mark.parametrize("mask", [None, MASK], ids=["no mask", "mask"])
def test_a_block_agrees_with_torchs_own(mask: Any) -> None:
    ours = block()
    theirs = torch.nn.TransformerEncoderLayer(
        16, 4, 64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    parts = (ours.query, ours.key, ours.value)
    names = {
        "self_attn.in_proj_weight": torch.cat([part.weight for part in parts]),
        "self_attn.in_proj_bias": torch.cat([part.bias for part in parts]),
    }
    pairs = {
        "self_attn.out_proj": ours.leave,
        "norm1": ours.before_attention,
        "norm2": ours.mix[0],
        "linear1": ours.mix[1],
        "linear2": ours.mix[3],
    }
    for name, part in pairs.items():
        names |= {f"{name}.weight": part.weight, f"{name}.bias": part.bias}
    theirs.load_state_dict(names)
    stands = torch.ones(2, 4, dtype=torch.bool) if mask is None else mask
    # In training mode (without dropout) torch takes its plain way.
    expected = theirs.train()(tokens(), src_key_padding_mask=~stands)
    torch.testing.assert_close(ours(tokens(), mask)[stands], expected[stands], rtol=1e-4, atol=1e-5)


def test_what_a_masked_token_holds_changes_no_other() -> None:
    module, other = block(), tokens()
    other[~MASK] = 1e4
    assert torch.equal(module(other, MASK)[MASK], module(tokens(), MASK)[MASK])


def test_a_width_that_the_heads_cannot_share_is_refused() -> None:
    with pytest.raises(ValueError, match="width=10 must be a multiple of heads=4"):
        TransformerBlock(10, 4)


def test_without_depth_only_the_normalisation_is_left() -> None:
    module = Transformer(16, depth=0, heads=4)
    assert torch.equal(module(tokens()), torch.nn.LayerNorm(16)(tokens()))
    assert sorted(module.state_dict()) == ["norm.bias", "norm.weight"]
