"""One contract for every head, and what is special about each."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mmedge.models import AttentionFusion, ConcatenationFusion, GatedFusion  # noqa: E402

pytestmark = pytest.mark.torch

WIDTHS = {"camera": 6, "hint": 5, "mic": 7}
OUTPUTS = {"digit": 4, "alarm": 2}
HEADS = [
    pytest.param(ConcatenationFusion, {"hidden": 16}, id="concatenation"),
    pytest.param(GatedFusion, {"hidden": 16}, id="gated"),
    pytest.param(AttentionFusion, {"width": 16, "heads": 2, "queries": 3}, id="attention"),
]
every_head = pytest.mark.parametrize(("head", "options"), HEADS)


def build(head: Any, options: dict[str, int]) -> Any:
    torch.manual_seed(0)
    module = head(WIDTHS, OUTPUTS, **options)
    for parameter in module.parameters():  # what starts at zero would hide a mistake
        torch.nn.init.normal_(parameter, std=0.3)
    return module.eval()


def batch(size: int = 4) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    return {
        "camera": torch.randn(size, 6, generator=generator),
        "hint": torch.randn(size, 3, 5, generator=generator),
        "hint_mask": torch.tensor([[True, True, False]]).repeat(size, 1),
        "mic": torch.randn(size, 4, 7, generator=generator),
    }


@every_head
def test_each_task_gets_its_logits(head: Any, options: dict[str, int]) -> None:
    logits = build(head, options)(batch(), torch.ones(4, 3, dtype=torch.bool))
    assert {name: tuple(value.shape) for name, value in logits.items()} == {
        "digit": (4, 4),
        "alarm": (4, 2),
    }


@every_head
@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), -3e38, 7.0])
def test_what_stands_in_an_absent_slot_changes_nothing(
    head: Any, options: dict[str, int], garbage: float
) -> None:
    model, inputs = build(head, options), batch(size=8)
    presence = torch.tensor(list(product([False, True], repeat=3)))
    before = model(inputs, presence)["digit"]
    for column, name in enumerate(WIDTHS):
        inputs[name] = inputs[name].clone()
        inputs[name][~presence[:, column]] = garbage
    inputs["hint"][:, 2] = garbage  # masked there in every row
    assert torch.equal(model(inputs, presence)["digit"], before)


@every_head
def test_every_modality_that_is_present_counts(head: Any, options: dict[str, int]) -> None:
    model, inputs = build(head, options), batch()
    presence = torch.ones(4, 3, dtype=torch.bool)
    before = model(inputs, presence)["digit"]
    for name in WIDTHS:
        changed = {**inputs, name: inputs[name] + 1.0}
        assert (model(changed, presence)["digit"] - before).abs().amin(dim=0).max() > 1e-3, name


@every_head
def test_nothing_present_gives_the_same_finite_prior_for_any_input(
    head: Any, options: dict[str, int]
) -> None:
    model, nothing = build(head, options), torch.zeros(4, 3, dtype=torch.bool)
    logits = model(batch(), nothing)["digit"]
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(logits, logits[:1].expand_as(logits))
    assert logits.abs().max() > 1e-3


@every_head
def test_rows_with_different_presence_do_not_disturb_each_other(
    head: Any, options: dict[str, int]
) -> None:
    model, inputs = build(head, options), batch(size=8)
    presence = torch.tensor(list(product([False, True], repeat=3)))
    together = model(inputs, presence)["digit"]
    for row in range(8):
        alone = {name: value[row : row + 1] for name, value in inputs.items()}
        torch.testing.assert_close(
            model(alone, presence[row : row + 1])["digit"], together[row : row + 1]
        )


@every_head
def test_a_text_of_which_no_token_stands_is_finite(head: Any, options: dict[str, int]) -> None:
    inputs = {**batch(), "hint_mask": torch.zeros(4, 3, dtype=torch.bool)}
    presence = torch.tensor([[False, True, False]]).repeat(4, 1)
    assert torch.isfinite(build(head, options)(inputs, presence)["digit"]).all()


@every_head
def test_absent_modalities_get_no_gradient_and_no_nan(head: Any, options: dict[str, int]) -> None:
    model, inputs = build(head, options), batch()
    camera = torch.full((4, 6), float("nan"), requires_grad=True)
    mic = inputs["mic"].requires_grad_()
    presence = torch.tensor([[False, True, True]]).repeat(4, 1)
    model({**inputs, "camera": camera, "mic": mic}, presence)["digit"].sum().backward()
    assert camera.grad is None or torch.equal(camera.grad, torch.zeros(4, 6))
    assert mic.grad is not None
    assert torch.isfinite(mic.grad).all()
    assert mic.grad.abs().max() > 0
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*axis name:UserWarning")  # torch's
@every_head
def test_the_exported_graph_takes_any_batch_size(head: Any, options: dict[str, int]) -> None:
    ort = pytest.importorskip("onnxruntime")
    model = build(head, options)

    class Flat(torch.nn.Module):  # type: ignore[misc]
        def forward(self, camera: Any, hint: Any, hint_mask: Any, mic: Any, present: Any) -> Any:
            inputs = {"camera": camera, "hint": hint, "hint_mask": hint_mask, "mic": mic}
            return model(inputs, present)["digit"]

    names = ["camera", "hint", "hint_mask", "mic", "present"]
    sample = (*batch(2).values(), torch.ones(2, 3, dtype=torch.bool))
    program = torch.onnx.export(
        Flat().eval(),
        sample,
        input_names=names,
        dynamic_shapes=[{0: torch.export.Dim("batch")}] * 5,
        external_data=False,
        verbose=False,
    )
    graph = program.model_proto.SerializeToString()
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for size in (1, 2, 5):
        inputs = batch(size)
        presence = torch.arange(size * 3).reshape(size, 3) % 2 == 0
        feeds = dict(zip(names, [t.numpy() for t in (*inputs.values(), presence)], strict=True))
        expected = model(inputs, presence)["digit"].detach().numpy()
        np.testing.assert_allclose(session.run(None, feeds)[0], expected, atol=1e-5)


def test_gates_sum_to_one_over_what_is_present() -> None:
    model = build(GatedFusion, {"hidden": 16})
    embeddings = [torch.randn(2, width) for width in WIDTHS.values()]
    gates = model.gates(embeddings, torch.tensor([[True, False, True], [False, True, False]]))
    torch.testing.assert_close(gates.sum(dim=1), torch.ones(2, 16))
    assert torch.equal(gates[0, 1], torch.zeros(16))
    assert torch.equal(gates[1, 1], torch.ones(16))


def test_concatenation_puts_the_learned_vector_where_a_modality_is_absent() -> None:
    model, inputs = build(ConcatenationFusion, {"hidden": 16}), batch()
    without = torch.tensor([[False, True, True]]).repeat(4, 1)
    given = {**inputs, "camera": model.absent["camera"].expand(4, 6)}
    torch.testing.assert_close(
        model(inputs, without)["digit"], model(given, torch.ones_like(without))["digit"]
    )


def test_attention_does_not_care_for_the_order_of_the_tokens_of_a_modality() -> None:
    model, inputs = build(AttentionFusion, {"width": 16, "heads": 2}), batch()
    presence = torch.ones(4, 3, dtype=torch.bool)
    turned = {**inputs, "mic": inputs["mic"].flip(1)}
    torch.testing.assert_close(model(turned, presence)["digit"], model(inputs, presence)["digit"])


def test_with_nothing_present_attention_finds_its_own_token() -> None:
    model, nothing = build(AttentionFusion, {"width": 16, "heads": 2}), torch.zeros(4, 3).bool()
    before = model(batch(), nothing)["digit"]
    with torch.no_grad():
        model.nothing.copy_(model.nothing.flip(2))
    assert (model(batch(), nothing)["digit"] - before).abs().max() > 1e-3


def test_attention_agrees_with_torch_multi_head_attention() -> None:
    model, inputs = build(AttentionFusion, {"width": 16, "heads": 2, "queries": 3}), batch()
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
        AttentionFusion(WIDTHS, OUTPUTS, width=10, heads=4)
