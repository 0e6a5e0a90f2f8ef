"""One contract for every encoder: pooled and tokens, any batch, exported, trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mmedge.models import (  # noqa: E402
    ClipOfFrames,
    ImageCNN,
    ImageViT,
    SignalCNN,
    SoundCNN,
    SpectrogramTransformer,
    TextLSTM,
    TextTransformer,
)

pytestmark = pytest.mark.torch

WORDS, WIDTH = 11, 8


def noise(*shape: int) -> Callable[[int, int], tuple[Any, ...]]:
    def draw(size: int, seed: int) -> tuple[Any, ...]:
        return (torch.randn(size, *shape, generator=torch.Generator().manual_seed(seed)),)

    return draw


def texts(size: int, seed: int) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(WORDS, (size, 5), generator=generator)
    lengths = torch.arange(5, 5 - size, -1).clamp(min=0)  # the sixth text is empty
    return ids, (torch.arange(5) < lengths[:, None]).long()


@dataclass(frozen=True)
class Case:
    make: Callable[[bool], Any]
    inputs: Callable[[int, int], tuple[Any, ...]]
    count: int
    """How many tokens come out."""

    def build(self, tokens: bool) -> Any:
        torch.manual_seed(0)
        return self.make(tokens).eval()


NEW = {
    "vit": Case(
        lambda tokens: ImageViT(3, (16, 24), WIDTH, tokens, depth=2, heads=2),
        noise(3, 16, 24),
        2 * 3,
    ),
    "clip of frames": Case(
        lambda tokens: ClipOfFrames(1, 3, 2, WIDTH, tokens, depth=1, heads=2),
        noise(3, 1, 16, 12),
        3,
    ),
    "spectrogram transformer": Case(
        lambda tokens: SpectrogramTransformer(
            20, 30, WIDTH, tokens, patch=(8, 8), stride=(6, 6), depth=2, heads=2
        ),
        noise(20, 30),
        3 * 4,
    ),
    "text transformer": Case(
        lambda tokens: TextTransformer(WORDS, 6, WIDTH, tokens, depth=2, heads=2), texts, 5
    ),
    "signal": Case(lambda tokens: SignalCNN(3, 4, WIDTH, tokens), noise(50, 3), 7),
}
OLD = {
    "image": Case(lambda tokens: ImageCNN(1, 2, WIDTH, tokens), noise(1, 16, 24), 2 * 3),
    "sound": Case(lambda tokens: SoundCNN(20, 2, WIDTH, tokens), noise(20, 30), 4),
    "text": Case(lambda tokens: TextLSTM(WORDS, WIDTH, tokens), texts, 5),
}
every_encoder = pytest.mark.parametrize(
    "case", [*NEW.values(), *OLD.values()], ids=[*NEW.keys(), *OLD.keys()]
)
new_encoders = pytest.mark.parametrize("case", NEW.values(), ids=NEW.keys())
both_forms = pytest.mark.parametrize("tokens", [False, True], ids=["pooled", "tokens"])


def tensors(returned: Any) -> tuple[Any, ...]:
    return tuple(returned.values()) if isinstance(returned, dict) else (returned,)


@every_encoder
def test_a_batch_becomes_embeddings_or_tokens(case: Case) -> None:
    inputs = case.inputs(3, 0)
    embedding = case.build(tokens=False)(*inputs)
    assert (embedding.shape, embedding.dtype) == ((3, WIDTH), torch.float32)
    tokens, *mask = tensors(case.build(tokens=True)(*inputs))
    assert (tokens.shape, tokens.dtype) == ((3, case.count, WIDTH), torch.float32)
    for each in mask:
        assert (each.shape, each.dtype) == ((3, case.count), torch.bool)


@every_encoder
@both_forms
def test_a_row_does_not_depend_on_the_rows_beside_it(case: Case, tokens: bool) -> None:
    model, inputs = case.build(tokens), case.inputs(4, 0)
    together = tensors(model(*inputs))[0]
    alone = tensors(model(*(value[2:3] for value in inputs)))[0]
    torch.testing.assert_close(alone, together[2:3], rtol=1e-4, atol=1e-5)


@every_encoder
def test_a_few_steps_lower_the_loss(case: Case) -> None:
    torch.manual_seed(0)
    inputs, label = case.inputs(12, 0), torch.arange(12) % 2
    inputs = (inputs[0], torch.ones_like(inputs[1])) if len(inputs) == 2 else inputs
    model = torch.nn.ModuleList([case.make(False), torch.nn.Linear(WIDTH, 2)])
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(25):
        loss = torch.nn.functional.cross_entropy(model[1](model[0](*inputs)), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


@new_encoders
@both_forms
def test_the_exported_graph_agrees_for_any_batch(case: Case, tokens: bool) -> None:
    pytest.importorskip("onnxscript", reason="torch exports through onnxscript")
    ort = pytest.importorskip("onnxruntime")
    from mmedge.export.graph import signature, to_onnx
    from mmedge.operators import ALLOWED

    class Plain(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: Any) -> Any:
            return tensors(self.model(*inputs))

    model = Plain(case.build(tokens))
    names = ["raw", "mask"][: len(case.inputs(2, 0))]
    outputs = ["out", "stands"][: len(model(*case.inputs(2, 0)))]
    exported = to_onnx("encoder", model, dict(zip(names, case.inputs(2, 0), strict=True)), outputs)
    operators = [node.op_type for node in exported.graph.node]
    assert set(operators) <= ALLOWED
    blocks = sum(name.endswith("before_attention.weight") for name in model.state_dict())
    assert (operators.count("Gelu"), operators.count("Softmax")) == (blocks, blocks)
    assert {each.shape[0] for each in signature(exported).outputs} == {"batch"}
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    opened = ort.InferenceSession(
        exported.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for size in (1, 2, 5, 6):
        inputs = case.inputs(size, size)
        with torch.no_grad():
            expected = model(*inputs)
        feeds = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        for result, wanted in zip(opened.run(None, feeds), expected, strict=True):
            np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)
