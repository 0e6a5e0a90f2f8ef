"""How a fusion head may be called, what it may return, and heads trained without presence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from mmedge.errors import ConfigError  # noqa: E402
from mmedge.export import Encoder, Fusion  # noqa: E402
from mmedge.export.modules import FusionGraph  # noqa: E402
from mmedge.proof.trust import load_golden  # noqa: E402
from mmedge.runtime.predictor import Predictor  # noqa: E402
from mmedge.specs import Classification, MultiLabel, Regression  # noqa: E402
from tests.export.recipes import PIXELS, YES_NO, Flat, Head, export_to, one_picture  # noqa: E402

pytestmark = pytest.mark.torch

COLUMNS = {"camera": 0, "mic": 1}
A, B = torch.tensor([[1.0, 2.0]]), torch.tensor([[10.0, 20.0]])
BOTH = torch.tensor([[True, True]])


class ByName(nn.Module):
    def forward(self, mic: Any, camera: Any, presence: Any) -> Any:
        return camera + 2 * mic


class ByAnyName(nn.Module):
    def forward(self, presence: Any, **inputs: Any) -> Any:
        return inputs["camera"] + 2 * inputs["mic"]


class ByMapping(nn.Module):
    def forward(self, features: Any, presence: Any) -> Any:
        return features["camera"] + 2 * features["mic"]


class ByPosition(nn.Module):
    def forward(self, first: Any, second: Any, presence: Any) -> Any:
        return first + 2 * second


class ByStar(nn.Module):
    def forward(self, *features: Any, presence: Any) -> Any:
        return features[0] + 2 * features[1]


class ByNameWithOptions(nn.Module):
    def forward(self, camera: Any, mic: Any, presence: Any = None, scale: float = 2.0) -> Any:
        return camera + scale * mic


@pytest.mark.parametrize(
    "head", [ByName, ByAnyName, ByMapping, ByPosition, ByStar, ByNameWithOptions]
)
def test_a_head_is_called_as_its_signature_wants(head: type) -> None:
    graph = FusionGraph(Fusion(module=head()), COLUMNS, {"answer": YES_NO}, {})
    assert graph(A, B, BOTH)[0].tolist() == [[21.0, 42.0]]
    assert graph(A, B, torch.tensor([[True, False]]))[0].tolist() == [[1.0, 2.0]]


class OneMapping(nn.Module):
    def forward(self, inputs: Mapping[str, Any], presence: Any) -> Any:
        return inputs["camera"]


class OneTensor(nn.Module):
    def forward(self, embedding: Any, presence: Any) -> Any:
        return embedding


@pytest.mark.parametrize("head", [OneMapping, OneTensor])
def test_with_one_modality_the_annotation_tells_a_mapping_from_a_tensor(head: type) -> None:
    graph = FusionGraph(Fusion(module=head()), {"camera": 0}, {"answer": YES_NO}, {})
    assert graph(A, torch.tensor([[True]]))[0].tolist() == [[1.0, 2.0]]


@dataclass
class Output:
    answer: Any
    number: Any


class Returning(nn.Module):
    def __init__(self, make: Any) -> None:
        super().__init__()
        self.make = make

    def forward(self, camera: Any, presence: Any) -> Any:
        return self.make(camera, camera.sum(dim=1))


TASKS = {"answer": YES_NO, "number": Regression(names=("sum",), units=("m",))}


@pytest.mark.parametrize(
    "make",
    [
        lambda answer, number: (answer, number),
        lambda answer, number: [answer, number],
        lambda answer, number: {"number": number, "answer": answer, "loss": answer.mean()},
        Output,
    ],
    ids=["tuple", "list", "dict", "dataclass"],
)
def test_a_head_may_return_its_tasks_in_any_form(make: Any) -> None:
    graph = FusionGraph(Fusion(module=Returning(make)), {"camera": 0}, TASKS, {})
    answer, number = graph(A, torch.tensor([[True]]))
    assert answer.tolist() == [[1.0, 2.0]]
    assert number.tolist() == [[3.0]]


def test_a_mapping_without_a_task_is_refused() -> None:
    head = Fusion(module=Returning(lambda answer, number: {"answer": answer, "total": number}))
    graph = FusionGraph(head, {"camera": 0}, TASKS, {})
    with pytest.raises(ConfigError, match=r"returned a dict with \['answer', 'total'\], but the"):
        graph(A, torch.tensor([[True]]))


class Several(nn.Module):
    """Tasks of all kinds; knows presence; any mapping of embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({k: nn.Linear(4, n) for k, n in (("a", 3), ("b", 2), ("c", 1))})

    def forward(self, inputs: Mapping[str, Any], presence: Any) -> Any:
        total = torch.stack(list(inputs.values())).sum(dim=0)
        return {name: head(total) for name, head in self.heads.items()}


def test_classification_labels_and_quantities_go_through_together(tmp_path: Path) -> None:
    tasks = {
        "a": Classification(labels=("x", "y", "z")),
        "b": MultiLabel(labels=("dog", "cat"), thresholds=(0.25, 0.75)),
        "c": Regression(names=("width",), units=("m",), scale=100.0, offset=5.0),
    }
    recipe = one_picture(head=Several(), tasks=tasks)
    made = export_to(tmp_path, recipe)
    assert made.parity.passed
    assert dict(made.bundle.manifest.tasks) == tasks
    raw = load_golden(made.bundle).raw["camera"][0]
    logits = {task: out[0, 0] for task, out in load_golden(made.bundle).outputs.items()}
    with Predictor(made.bundle) as predictor:
        answer = predictor.predict(camera=raw).tasks
    soft = np.exp(logits["a"]) / np.exp(logits["a"]).sum()
    assert answer["a"].scores == pytest.approx(dict(zip("xyz", soft, strict=True)), abs=1e-4)
    for label, logit in zip(("dog", "cat"), logits["b"], strict=True):
        assert answer["b"].scores[label] == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-4)
    assert answer["c"].scores["width"] == pytest.approx(logits["c"][0] * 100 + 5, rel=1e-4)


class Trained(nn.Module):
    """A head that was trained without presence, on embeddings and masked tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 2)

    def forward(self, left: Any, right: Any) -> Any:
        return self.linear(torch.cat([left, right], dim=1))


def two_pictures(absent: Any) -> Any:
    torch.manual_seed(0)
    return one_picture(
        modalities={"left": PIXELS, "right": PIXELS},
        encoders={"left": Flat(), "right": Flat()},
        fusion=Fusion(module=Trained(), absent=absent),
    )


def test_a_given_vector_stands_in_for_what_is_absent(tmp_path: Path) -> None:
    given = {"right": torch.tensor([4.0, 3, 2, 1]), "left": torch.tensor([1.0, 2, 3, 4])}
    recipe = two_pictures(given)
    made = export_to(tmp_path, recipe)
    assert "mean" not in " ".join(made.parity.notes)
    assert answer_without_right(made.bundle) == pytest.approx(
        expected(recipe, made.bundle, given["right"]), abs=1e-5
    )


def test_the_mean_embedding_stands_in_and_the_report_says_over_what(tmp_path: Path) -> None:
    recipe = two_pictures("mean")
    made = export_to(tmp_path, recipe, samples=3)
    assert made.parity.notes[1] == (
        "absent modalities get their mean embedding over 3 samples of seeded noise; "
        "give --clips for a meaningful default"
    )
    mean = torch.from_numpy(load_golden(made.bundle).embeddings["right"]["right"]).mean(dim=0)
    assert answer_without_right(made.bundle) == pytest.approx(
        expected(recipe, made.bundle, mean), abs=1e-5
    )


class MaskedTokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.flat = Flat(width=8)

    def forward(self, x: Any) -> Any:
        tokens = self.flat(x).unflatten(1, (2, 4))
        return {"tokens": tokens, "mask": tokens[..., 0] > 0}


class MeanOfTokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, camera: Any, camera_mask: Any) -> Any:
        weights = camera_mask.unsqueeze(2).float()
        return self.linear((camera * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1))


def test_default_tokens_of_an_absent_modality_all_count(tmp_path: Path) -> None:
    encoder = Encoder(module=MaskedTokens(), output="tokens", mask="mask")
    tokens = torch.tensor([[1.0, 2, 3, 4], [3.0, 2, 1, 0]])
    recipe = one_picture(encoder, Fusion(module=MeanOfTokens(), absent={"camera": tokens}))
    made = export_to(tmp_path, recipe)
    with torch.no_grad():
        wanted = recipe.head.module.linear(torch.tensor([2.0, 2, 2, 2]))
    golden = load_golden(made.bundle)
    assert golden.presence.tolist() == [[True], [False]]
    np.testing.assert_allclose(golden.outputs["answer"][1, 0], wanted.numpy(), atol=1e-6)


def answer_without_right(bundle: Any) -> Any:
    """The head's output for sample 0, its right picture absent and garbage in its place."""
    embeddings = {k: v[k][:1].copy() for k, v in load_golden(bundle).embeddings.items()}
    embeddings["right"][:] = np.nan
    with Predictor(bundle) as predictor:
        return predictor.fuse(embeddings, np.array([[True, False]]))["answer"][0]


def expected(recipe: Any, bundle: Any, right: Any) -> Any:
    left = torch.from_numpy(load_golden(bundle).embeddings["left"]["left"][:1])
    with torch.no_grad():
        return recipe.head.module(left, right[None])[0].numpy()


def test_a_head_that_knows_presence_sees_zeros_where_nothing_is() -> None:
    seen = []

    class Looks(Head):
        def forward(self, inputs: Mapping[str, Any], presence: Any) -> Any:
            seen.append(inputs["camera"].tolist())
            return super().forward(inputs, presence)

    graph = FusionGraph(Fusion(module=Looks()), {"camera": 0}, {"answer": YES_NO}, {})
    rows = torch.tensor([[1.0, 2, 3, 4], [math.nan] * 4])
    out = graph(rows, torch.tensor([[True], [False]]))[0]
    assert seen == [[[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]]]
    assert torch.isfinite(out).all()
