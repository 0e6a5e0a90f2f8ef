"""One part of a bundle is replaced; the rest stays as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from mmedge import Classification, open_bundle  # noqa: E402
from mmedge.bundle import file_ref  # noqa: E402
from mmedge.errors import ConfigError, MmedgeError, ProofError  # noqa: E402
from mmedge.export import ExportConfig, Exported, Fusion, Recipe, export_bundle  # noqa: E402
from tests.export.recipes import Flat, Head, one_picture  # noqa: E402

pytestmark = pytest.mark.torch


def export(path: Path, *, eye: float = 0.1, head: float = 0.2, only: str | None = None) -> Exported:
    return export_bundle(recipe(eye, head), ExportConfig(out=path, only=only))


def recipe(eye: float, head: float) -> Recipe:
    encoder, fusion = Flat(), Head()
    for module, value in ((encoder, eye), (fusion, head)):
        for parameter in module.parameters():
            nn.init.constant_(parameter, value)
    return one_picture(encoders={"camera": encoder}, fusion=fusion)


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir() if file.name != ".lock"}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("only") / "x.mmedge"
    export(path)
    return path


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    path = tmp_path / "x.mmedge"
    path.mkdir()
    for name, data in contents(original).items():
        (path / name).write_bytes(data)
    return path


def test_a_new_head_goes_out_and_the_encoder_keeps_its_bytes(bundle: Path) -> None:
    before = open_bundle(bundle).manifest
    made = export(bundle, head=0.3, only="fusion")
    after = open_bundle(bundle).manifest
    assert made.parity.passed
    assert after.plans["fp32"].graphs["camera"] == before.plans["fp32"].graphs["camera"]
    assert after.plans["fp32"].graphs["fusion"] != before.plans["fp32"].graphs["fusion"]
    assert after.weights_sha256 != before.weights_sha256
    open_bundle(bundle).check()


def test_another_plan_keeps_its_files_and_takes_the_new_head_as_it_is(bundle: Path) -> None:
    fp32 = open_bundle(bundle).manifest.plans["fp32"]
    # The same graphs with a doc string (field 6 of a ModelProto), so that they still compile.
    models = {
        name: (bundle / ref.name).read_bytes() + b"\x32\x04int8"
        for name, ref in fp32.graphs.items()
    }
    lower = {name: file_ref(f"{name}-int8", ".onnx", model) for name, model in models.items()}
    for name, ref in lower.items():
        (bundle / ref.name).write_bytes(models[name])
    plan = fp32.model_copy(update={"precision": "int8", "target": "cpu", "graphs": lower})
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    manifest["plans"]["int8"] = json.loads(plan.model_dump_json())
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    made = export(bundle, head=0.3, only="fusion")
    plans = open_bundle(bundle).manifest.plans
    assert plans["int8"].graphs["camera"] == lower["camera"]
    assert plans["int8"].graphs["fusion"] == plans["fp32"].graphs["fusion"]
    assert plans["fp32"].graphs["fusion"] != fp32.graphs["fusion"]
    assert (bundle / lower["camera"].name).read_bytes() == models["camera"]
    assert not (bundle / lower["fusion"].name).exists()
    assert any("plan int8 has the new fusion in float32" in note for note in made.parity.notes)


def refused(bundle: Path, error: type[MmedgeError], words: str, changed: Recipe, only: str) -> None:
    before = contents(bundle)
    with pytest.raises(error, match=words):
        export_bundle(changed, ExportConfig(out=bundle, only=only))
    assert contents(bundle) == before


def test_an_encoder_that_is_no_longer_the_recipes_is_noticed(bundle: Path) -> None:
    refused(
        bundle,
        ProofError,
        "What --only fusion leaves as it is, is not the recipe's",
        recipe(0.4, 0.3),
        "fusion",
    )


def test_a_head_that_does_not_fit_is_refused_before_anything_is_written(bundle: Path) -> None:
    misfit = Fusion(module=nn.Linear(7, 2), absent="mean")
    changed = one_picture(encoders={"camera": Flat()}, fusion=misfit)
    refused(bundle, ConfigError, "the fusion head fails on inputs", changed, "fusion")


def test_labels_may_change_with_the_head(bundle: Path) -> None:
    changed = recipe(0.1, 0.3)
    task = next(iter(changed.tasks))
    labels = tuple(f"new {label}" for label in changed.tasks[task].labels)  # type: ignore[union-attr]
    renamed = Recipe(**{**vars(changed), "tasks": {task: Classification(labels=labels)}})
    export_bundle(renamed, ExportConfig(out=bundle, only="fusion"))
    assert open_bundle(bundle).manifest.tasks[task].labels == labels  # type: ignore[union-attr]


def test_a_part_that_does_not_exist_is_refused(bundle: Path) -> None:
    refused(bundle, ConfigError, "--only 'mic' is none of the parts", recipe(0.1, 0.2), "mic")


def test_other_modalities_ask_for_a_whole_export(bundle: Path) -> None:
    changed = recipe(0.1, 0.2)
    wider = changed.modalities["camera"].model_copy(update={"fill": 7})
    changed = Recipe(**{**vars(changed), "modalities": {"camera": wider}})
    refused(bundle, ConfigError, "other parameters. Export it whole", changed, "fusion")


def test_without_a_bundle_there_is_nothing_to_replace(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no bundle at"):
        export(tmp_path / "x.mmedge", only="fusion")
