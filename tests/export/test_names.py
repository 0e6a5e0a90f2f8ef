"""Names in graphs: what torch calls its values must not meet what we call ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import onnx  # noqa: E402
from torch import nn  # noqa: E402

from mmedge.export.graph import signature, to_onnx  # noqa: E402
from mmedge.runtime.backends import open_backend  # noqa: E402
from mmedge.specs import Image, Regression, Text  # noqa: E402
from tests.export.recipes import PIXELS, TOKENIZER, Head, Words, export_to, one_picture  # noqa: E402

pytestmark = pytest.mark.torch


def graph_of(module: Any, *shapes: tuple[int, ...], outputs: list[str], **options: Any) -> Any:
    torch.manual_seed(0)
    inputs = {f"x{index}": torch.randn(2, *shape) for index, shape in enumerate(shapes)}
    return to_onnx("the graph", module.eval(), inputs, outputs, **options)


class Means(nn.Module):
    """torch calls its values 'mean', 'add', 'linear' and 'sigmoid'."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Any, y: Any) -> tuple[Any, ...]:
        mean = x.mean(dim=1)
        add = self.linear(y) + mean[:, None]
        return mean, add, add.sigmoid()


def test_outputs_may_be_called_what_torch_calls_other_values() -> None:
    module = Means()
    names = ["sigmoid", "mean", "linear"]  # each the name of another value than torch's
    model = graph_of(module, (3,), (3,), outputs=names)
    x, y = torch.randn(5, 3), torch.randn(5, 3)
    with open_backend("cpu", model.SerializeToString(), what="g") as backend:
        came = backend.run({"x0": x.numpy(), "x1": y.numpy()})
    with torch.no_grad():
        expected = dict(zip(names, module(x, y), strict=True))
    for name in names:
        np.testing.assert_allclose(came[name], expected[name].numpy(), atol=1e-6)


def test_inputs_may_be_called_what_torch_calls_its_values() -> None:
    inputs = {name: torch.randn(2, 3) for name in ("add", "mean")}
    model = to_onnx("g", Means().eval(), inputs, ["a", "b", "c"])
    assert [each.name for each in signature(model).inputs] == ["add", "mean"]
    assert [each.name for each in signature(model).outputs] == ["a", "b", "c"]


def test_a_pooled_text_keeps_its_embedding_apart_from_the_table_s(tmp_path: Path) -> None:
    # torch calls what nn.Embedding gives 'embedding', as we call what the encoder gives.
    text = Text(tokenizer=str(TOKENIZER), max_tokens=4)
    recipe = one_picture(modalities={"hint": text}, encoders={"hint": Words()})
    bundle = export_to(tmp_path, recipe).bundle
    graph = onnx.load_from_string(bundle.read(bundle.manifest.plans["fp32"].graphs["hint"])).graph
    assert [value.name for value in graph.output] == ["embedding"]
    assert "encoder.table/Gather" in {node.name for node in graph.node}
    # The encoder reads the ids alone, and the graph takes the mask all the same.
    assert [value.name for value in graph.input] == ["ids", "mask"]


def test_modalities_and_tasks_may_have_names_of_operations(tmp_path: Path) -> None:
    recipe = one_picture(
        modalities={"where": PIXELS},
        encoders=dict.fromkeys(("where",), one_picture().encoders["camera"]),
        tasks={"linear": Regression(names=("a", "b"), units=("m", "m"))},
    )
    graph = export_to(tmp_path, recipe).bundle.manifest.graphs["fusion"]
    assert [each.name for each in graph.inputs] == ["where", "presence"]
    assert [each.name for each in graph.outputs] == ["linear"]


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Linear(3, 3)
        self.again = nn.Identity()

    def forward(self, x: Any) -> tuple[Any, ...]:
        return (self.again(self.same(self.same(x))),)


def test_a_module_that_is_called_twice_gives_two_names() -> None:
    model = graph_of(Twice(), (3,), outputs=["y"])
    assert [node.name for node in model.graph.node] == ["same/Gemm", "same/Gemm_2"]
    assert [list(node.output) for node in model.graph.node] == [["same/Gemm"], ["y"]]


def test_a_tap_on_the_output_itself_keeps_both_names() -> None:
    model = graph_of(Twice(), (3,), outputs=["y"], taps={"same": "inner", "again": "last"})
    made = {name for node in model.graph.node for name in node.output}
    assert {"y", "inner", "last"} <= made
    assert [value.name for value in model.graph.output] == ["y"]


@pytest.mark.parametrize("own", [True, False], ids=["own front-end", "no front-end"])
def test_an_encoder_that_does_nothing_still_has_named_ends(tmp_path: Path, own: bool) -> None:
    from mmedge.export import Encoder

    class Mean(nn.Module):
        def forward(self, frames: Any) -> Any:
            return frames.float().mean(dim=(1, 2)) / 255

    class Same(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.flatten(1)[:, :4] if not own else x

    encoder = Encoder(module=Same(), front_end=Mean() if own else None)
    head = Head(width=3) if own else Head()
    made = export_to(
        tmp_path, one_picture(encoder, head, modalities={"camera": Image(height=4, width=4)})
    )
    assert {"camera/front_end", "camera/embedding"} <= {f.point for f in made.parity.findings}
