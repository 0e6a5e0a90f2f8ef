"""The whole way on the shipped model: export, proof, accuracy, predictions, picture."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmedge.bundle import open_bundle, save_bundle
from mmedge.demo.picture import draw_demo
from mmedge.errors import ConfigError
from mmedge.proof import Parity, SubsetMetrics, evaluate, verify
from mmedge.runtime.clips import Source, read_clips
from mmedge.runtime.offline import FilePrediction, predict_files
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.windows.walk import iter_windows

__all__ = ["DemoResult", "labelled_samples", "run_demo"]

HERE = Path(__file__).parent
BUNDLE = HERE / "digits.mmedge"
WEIGHTS = HERE / "weights.safetensors"
EXCERPT = HERE / "data" / "clips.jsonl"
CLIP = HERE / "clip.mkv"
TRUTH = HERE / "clip.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What the demo found.

    Attributes:
        bundle: where the bundle is.
        parity: its proof on this machine.
        accuracy: on the test excerpt, per subset of modalities.
        predictions: along the clip.
        picture: where the picture is.
        clip: a copy of the clip, to predict from.
        notes: what was left out, and why.
    """

    bundle: Path
    parity: Parity
    accuracy: tuple[SubsetMetrics, ...]
    predictions: tuple[FilePrediction, ...]
    picture: Path
    clip: Path
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        return {
            "bundle": str(self.bundle),
            "parity": self.parity.to_json(),
            "accuracy": [row.to_json() for row in self.accuracy],
            "predictions": [each.to_json() for each in self.predictions],
            "picture": str(self.picture),
            "clip": str(self.clip),
            "notes": list(self.notes),
        }


def run_demo(out: Path, on_stage: Callable[[str], None] = lambda _: None) -> DemoResult:
    """Walk the whole way and leave a bundle and a picture in ``out``.

    Where torch is not installed, the shipped bundle takes the place of the export.

    Raises:
        ConfigError: ``out`` is not a folder and cannot become one.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"{out} cannot be made a folder ({exc.strerror}); choose --out") from exc
    bundle, notes = _make_bundle(out / BUNDLE.name, on_stage)
    on_stage("verify")
    parity = verify(open_bundle(bundle))
    with Predictor.open(bundle) as predictor:
        on_stage("accuracy of every subset")
        accuracy = tuple(evaluate(predictor, labelled_samples(predictor, EXCERPT)))
        on_stage("predictions along the clip")
        sources: dict[str, Source] = {"camera": CLIP, "mic": CLIP}
        predictions = tuple(predict_files(predictor, sources))
    on_stage("picture")
    picture = out / "demo.png"
    draw_demo(
        picture,
        clip=CLIP,
        predictions=predictions,
        truth=json.loads(TRUTH.read_text(encoding="utf-8")),
        accuracy=accuracy,
        parity=parity,
    )
    return DemoResult(
        bundle=bundle,
        parity=parity,
        accuracy=accuracy,
        predictions=predictions,
        picture=picture,
        clip=Path(shutil.copyfile(CLIP, out / CLIP.name)),
        notes=notes,
    )


def labelled_samples(
    predictor: Predictor, path: Path
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Read a list of labelled clips; a long sound gives its first window."""
    for clip in read_clips(path, predictor.manifest.modalities, predictor.manifest.tasks):
        window = next(iter_windows(clip.sources, predictor.manifest.modalities))
        yield window.raw, dict(clip.labels)


def _make_bundle(bundle: Path, on_stage: Callable[[str], None]) -> tuple[Path, tuple[str, ...]]:
    missing = [p for p in ("torch", "onnx", "onnxscript") if not importlib.util.find_spec(p)]
    if missing:
        save_bundle(open_bundle(BUNDLE), bundle, replace=True)
        note = (
            f"{', '.join(missing)} not installed: the shipped bundle was used instead of an "
            "export; pip install 'mmedge[export]' brings that step"
        )
        return bundle, (note,)
    from mmedge.export import ExportConfig, export_bundle, load_recipe

    recipe = load_recipe("mmedge.demo.recipe:recipe")
    config = ExportConfig(out=bundle, weights=(str(WEIGHTS),), replace=True)
    export_bundle(recipe, config, on_stage)
    return bundle, ()
