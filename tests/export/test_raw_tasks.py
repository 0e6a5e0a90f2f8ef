"""Tensors of any shape as answers: masks, boxes, the logits of CTC."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from mmedge import Predictor, open_bundle  # noqa: E402
from mmedge.export import Exported  # noqa: E402
from mmedge.proof import verify  # noqa: E402
from mmedge.proof.trust import load_golden  # noqa: E402
from mmedge.specs import Raw  # noqa: E402
from tests.export.recipes import PIXELS, YES_NO, Flat, export_to, one_picture  # noqa: E402

pytestmark = pytest.mark.torch

TASKS = {
    "answer": YES_NO,
    "mask": Raw(shape=(4, 3), axes=("row", "column")),
    "boxes": Raw(shape=(5, 4), unit="pixels"),
    "ctc": Raw(shape=(6, 2, 3)),
}


class Detector(nn.Module):
    """Answers everything at once from the sum of what is present; the mask is booleans."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {"answer": 2, "mask": 12, "boxes": 20, "ctc": 36}
        self.heads = nn.ModuleDict({name: nn.Linear(4, size) for name, size in sizes.items()})

    def forward(self, inputs: Mapping[str, Any], presence: Any) -> dict[str, Any]:
        total = torch.stack(list(inputs.values())).sum(dim=0)
        flat = {name: head(total) for name, head in self.heads.items()}
        return {
            "answer": flat["answer"],
            "mask": flat["mask"].unflatten(1, (4, 3)) > 0,
            "boxes": flat["boxes"].unflatten(1, (5, 4)),
            "ctc": flat["ctc"].unflatten(1, (6, 2, 3)).log_softmax(dim=3),
        }


def detector() -> Any:
    torch.manual_seed(0)
    return one_picture(
        modalities={"left": PIXELS, "right": PIXELS},
        encoders={"left": Flat(), "right": Flat()},
        head=Detector(),
        tasks=TASKS,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export_to(tmp_path_factory.mktemp("raw"), detector())


def test_each_tensor_is_an_output_of_its_own_shape(made: Exported) -> None:
    outputs = made.bundle.manifest.graphs["fusion"].outputs
    assert {each.name: each.shape for each in outputs} == {
        "answer": ("batch", 2),
        "mask": ("batch", 4, 3),
        "boxes": ("batch", 5, 4),
        "ctc": ("batch", 6, 2, 3),
    }
    assert {each.dtype for each in outputs} == {"float32"}
    assert dict(made.bundle.manifest.tasks) == TASKS


@pytest.mark.parametrize("task", ["mask", "boxes", "ctc"])
def test_each_tensor_is_proven_for_every_subset_and_batch(made: Exported, task: str) -> None:
    for parity in (made.parity, verify(open_bundle(made.bundle.path))):  # type: ignore[arg-type]
        assert parity.passed
        found = {(f.point, f.subset, f.batch) for f in parity.findings}
        for subset in ("left+right", "left", "right", "nothing"):
            for batch in (1, 2, 5):
                assert (f"fusion/{task}", subset, batch) in found
                assert (f"end to end/{task}", subset, batch) in found
    assert load_golden(made.bundle).outputs[task].shape == (4, 2, *TASKS[task].shape)


def test_the_prediction_holds_torchs_tensors(made: Exported) -> None:
    recipe, raw = detector(), load_golden(made.bundle).raw
    with Predictor(made.bundle) as predictor, torch.no_grad():
        answers = predictor.predict(left=raw["left"][0]).tasks
        frames = torch.from_numpy(predictor.prepare("left", raw["left"][0])["frames"])[None]
        seen = recipe.encoders["left"].eval()(frames.permute(0, 3, 1, 2).float() / 255)
        wanted = recipe.head.module.eval()({"left": seen}, None)
    for name in ("boxes", "ctc"):
        np.testing.assert_allclose(answers[name].tensor, wanted[name][0].numpy(), atol=1e-4)
    assert set(np.unique(answers["mask"].tensor)) == {0.0, 1.0}
    assert np.array_equal(answers["mask"].tensor, wanted["mask"][0].numpy())
    assert answers["boxes"].contributions == {}
    assert sum(map(abs, answers["answer"].contributions.values())) > 0


def test_the_command_line_writes_the_whole_tensor_as_json_and_its_range_for_people(
    made: Exported, tmp_path: Path, mmedge: Callable[..., tuple[int, str, str]]
) -> None:
    Picture.new("RGB", (8, 8), (200, 100, 0)).save(tmp_path / "a.png")
    source = f"left={tmp_path / 'a.png'}"
    code, out, _ = mmedge("predict", made.bundle.path, source, "--json")
    assert code == 0
    tasks = json.loads(out)["tasks"]
    assert tasks["boxes"]["shape"] == [5, 4]
    assert np.array(tasks["boxes"]["tensor"]).shape == (5, 4)
    assert "label" not in tasks["boxes"]
    code, out, _ = mmedge("predict", made.bundle.path, source)
    assert code == 0
    assert "boxes: 5 x 4 numbers, " in out
