from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from mmedge.models import TextLSTM  # noqa: E402

pytestmark = pytest.mark.torch

IDS = [[3, 5, 2, 0, 0], [1, 4, 4, 4, 1]]
MASK = [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]


def test_the_embedding_is_the_mean_of_the_tokens_that_stand() -> None:
    torch.manual_seed(0)
    model = TextLSTM(8, 16).eval()
    embedding = model(torch.tensor(IDS), torch.tensor(MASK))
    model.tokens = True
    tokens = model(torch.tensor(IDS), torch.tensor(MASK))["tokens"]
    torch.testing.assert_close(embedding[0], (tokens[0, 0] + tokens[0, 1] + tokens[0, 2]) / 3)
    torch.testing.assert_close(embedding[1], tokens[1].mean(dim=0))


def test_what_stands_in_the_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    model = TextLSTM(8, 16).eval()
    other = [[3, 5, 2, 7, 6], IDS[1]]
    torch.testing.assert_close(
        model(torch.tensor(IDS), torch.tensor(MASK)), model(torch.tensor(other), torch.tensor(MASK))
    )


def test_the_order_of_the_words_counts() -> None:
    torch.manual_seed(0)
    model = TextLSTM(8, 16).eval()
    mask = torch.ones(1, 3, dtype=torch.int64)
    there, back = torch.tensor([[1, 2, 3]]), torch.tensor([[3, 2, 1]])
    assert (model(there, mask) - model(back, mask)).abs().max() > 1e-3


def test_an_empty_text_is_zeros() -> None:
    nothing = torch.zeros(1, 5, dtype=torch.int64)
    assert torch.equal(TextLSTM(8, 16)(nothing, nothing), torch.zeros(1, 16))


def test_tokens_come_with_their_mask() -> None:
    output = TextLSTM(8, 16, tokens=True)(torch.tensor(IDS), torch.tensor(MASK))
    assert output["tokens"].shape == (2, 5, 16)
    assert output["mask"].dtype == torch.bool
    assert output["mask"].tolist() == [[True, True, True, False, False], [True] * 5]
