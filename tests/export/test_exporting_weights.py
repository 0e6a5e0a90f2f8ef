"""Weights on their way into a bundle: the whole model's, one part's, and what was left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")
save_file = pytest.importorskip("safetensors.torch").save_file

from torch import nn  # noqa: E402

from mmedge.errors import ArtefactError, ConfigError  # noqa: E402
from mmedge.export import Recipe  # noqa: E402
from mmedge.export.weights import digest_weights  # noqa: E402
from tests.export.recipes import Flat, Head, export_to, listing, one_picture  # noqa: E402

pytestmark = pytest.mark.torch


def filled(module: nn.Module, value: float, prefix: str = "") -> dict[str, Any]:
    return {prefix + k: torch.full_like(v, value) for k, v in module.state_dict().items()}


def weight_in(bundle: Any, graph: str, name: str) -> float:
    model = onnx.load_from_string(bundle.read(bundle.manifest.plans["fp32"].graphs[graph]))
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    assert np.ptp(tensors[name]) == 0
    return float(tensors[name].flat[0])


def test_one_file_for_the_whole_model_reaches_encoders_and_head(tmp_path: Path) -> None:
    state = {**filled(Flat(), 0.5, "encoders.camera."), **filled(Head(), 0.25, "fusion.")}
    save_file(state, tmp_path / "w.safetensors")
    made = export_to(tmp_path, one_picture(), weights=(str(tmp_path / "w.safetensors"),))
    assert weight_in(made.bundle, "camera", "encoder.linear.weight") == 0.5
    assert weight_in(made.bundle, "fusion", "head.linear.weight") == 0.25
    assert made.parity.notes == ()


def test_each_part_may_have_its_own_file_and_the_rest_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "lr=0.1"  # a path may hold the sign that parts NAME=PATH
    folder.mkdir()
    torch.save({"state_dict": filled(Flat(), 2.0, "module.")}, folder / "camera.pt")
    made = export_to(tmp_path, one_picture(), weights=(f"camera={folder / 'camera.pt'}",))
    assert weight_in(made.bundle, "camera", "encoder.linear.weight") == 2.0
    assert made.parity.notes == (
        "camera.pt: the weights stand under 'state_dict'",
        "camera.pt: removed the prefix 'module.' from every key",
        "no weights file reached fusion: left as the recipe gave it",
    )
    report = json.loads(made.bundle.read(made.bundle.manifest.reports["parity"]))
    assert report["parity"]["notes"] == list(made.parity.notes)
    torch.save(filled(Head(), 3.0), folder / "head.pt")
    weights = (f"camera={folder / 'camera.pt'}", f"fusion={folder / 'head.pt'}")
    made = export_to(tmp_path, one_picture(), weights=weights, replace=True)
    assert weight_in(made.bundle, "fusion", "head.linear.weight") == 3.0
    assert len(made.parity.notes) == 2


def test_a_path_with_an_equals_sign_is_a_path(tmp_path: Path) -> None:
    state = {**filled(Flat(), 0.5, "encoders.camera."), **filled(Head(), 0.25, "fusion.")}
    path = tmp_path / "lr=0.1.safetensors"
    save_file(state, path)
    made = export_to(tmp_path, one_picture(), weights=(str(path),))
    assert weight_in(made.bundle, "camera", "encoder.linear.weight") == 0.5


class Whole(nn.Module):
    """A model in which encoder and head have names of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.eye, self.mind = Flat(), Head()
        self.loss_scale = nn.Parameter(torch.ones(()))  # trained, but not exported


def whole_recipe(eye: nn.Module | None = None) -> Recipe:
    whole = Whole()
    return one_picture(eye or whole.eye, whole.mind, model=whole)


def test_the_model_s_own_keys_count_where_the_recipe_gives_the_model(tmp_path: Path) -> None:
    save_file(filled(Whole(), 0.5), tmp_path / "w.safetensors")
    made = export_to(tmp_path, whole_recipe(), weights=(str(tmp_path / "w.safetensors"),))
    assert weight_in(made.bundle, "camera", "encoder.linear.weight") == 0.5
    assert made.parity.notes == ()


def test_an_encoder_outside_of_the_model_is_named_because_no_weights_reach_it(
    tmp_path: Path,
) -> None:
    save_file(filled(Whole(), 0.5), tmp_path / "w.safetensors")
    recipe = whole_recipe(eye=Flat().half())
    made = export_to(tmp_path, recipe, weights=(str(tmp_path / "w.safetensors"),))
    assert made.parity.notes == (
        "no weights file reached camera: left as the recipe gave it",
        "weights in float16 were converted to float32",
    )


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_refused(tmp_path: Path, bad: float) -> None:
    state = {**filled(Flat(), 0.5, "encoders.camera."), **filled(Head(), 0.25, "fusion.")}
    state["encoders.camera.linear.bias"][2] = bad
    save_file(state, tmp_path / "w.safetensors")
    before = listing(tmp_path)
    with pytest.raises(ArtefactError, match=r"weight 'camera\.linear\.bias' has 1 of 4 values"):
        export_to(tmp_path, one_picture(), weights=(str(tmp_path / "w.safetensors"),))
    assert listing(tmp_path) == before


def test_a_part_that_the_recipe_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'mic' is neither 'fusion' nor one of the encoders"):
        export_to(tmp_path, one_picture(), weights=("mic=w.pt",))


def test_the_hash_over_the_weights_sees_names_types_shapes_and_values() -> None:
    def digest(weight: Any, name: str = "a") -> str:
        module = nn.Module()
        module.register_buffer(name, weight)
        return digest_weights(module)

    first = digest(torch.tensor([1.0, 2.0]))
    assert first == digest(torch.tensor([1.0, 9.0, 2.0])[::2])
    assert (
        len(
            {
                first,
                digest(torch.tensor([1.0, 3.0])),
                digest(torch.tensor([[1.0, 2.0]])),
                digest(torch.tensor([1.0, 2.0]).view(torch.int32)),
                digest(torch.tensor([1.0, 2.0]), "b"),
            }
        )
        == 5
    )
