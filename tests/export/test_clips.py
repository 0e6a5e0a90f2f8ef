"""Real samples for the proof: used where they are given, and not taken along unasked."""

from __future__ import annotations

import json
import logging
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

torch = pytest.importorskip("torch")
pytest.importorskip("av")

from torch import nn  # noqa: E402

from mmedge.errors import ArtefactError, ConfigError, ProofError, ResourceError  # noqa: E402
from mmedge.export import Fusion, draft, samples  # noqa: E402
from mmedge.proof.trust import load_golden  # noqa: E402
from mmedge.specs import Sound, Text  # noqa: E402
from tests.export.recipes import (  # noqa: E402
    PIXELS,
    TOKENIZER,
    Flat,
    Head,
    Words,
    export_to,
    listing,
    one_picture,
)

pytestmark = pytest.mark.torch

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
TEXTS = ["odd", "even small", "large"]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Three complete clips, and one without sound."""
    rows: list[dict[str, Any]] = []
    for number, (colour, text) in enumerate(zip(COLOURS, TEXTS, strict=True)):
        Picture.new("RGB", (6, 5), colour).save(tmp_path / f"{number}.png")
        tone = 8000 * np.sin(np.arange(100) * (number + 1) / 5)
        with wave.open(str(tmp_path / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 1000, 0, "NONE", ""))
            file.writeframes(tone.astype("<i2").tobytes())
        rows.append({"camera": f"{number}.png", "mic": f"{number}.wav", "hint": text})
    rows.insert(1, {"camera": "0.png", "hint": "round"})
    path = tmp_path / "clips.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def recipe(**changes: Any) -> Any:
    torch.manual_seed(0)
    text = Text(tokenizer=str(TOKENIZER), max_tokens=4)
    sound = Sound(rate_hz=1000, window_ms=64, hop_ms=32)
    fields = {
        "modalities": {"camera": PIXELS, "mic": sound, "hint": text},
        "encoders": {"camera": Flat(), "mic": Flat(64), "hint": Words()},
        "fusion": Head(3),
    }
    return one_picture(**{**fields, **changes})


def test_the_proof_is_on_the_clips_and_only_noise_travels(tmp_path: Path, clips: Path) -> None:
    made = export_to(tmp_path, recipe(), clips=clips, samples=2)
    assert (made.parity.inputs, made.parity.samples) == ("clips", 3)
    report = json.loads(made.bundle.read(made.bundle.manifest.reports["parity"]))["parity"]
    assert (report["inputs"], report["samples"]) == ("clips", 3)
    assert (made.bundle.manifest.golden.source, made.bundle.manifest.golden.samples) == (
        "seeded",
        2,
    )
    golden = load_golden(made.bundle)
    assert set(golden.raw["hint"]).isdisjoint(TEXTS)
    assert all(np.unique(raw.reshape(-1, 3), axis=0).shape[0] > 1 for raw in golden.raw["camera"])


def test_golden_clips_travel_when_that_is_asked_for(tmp_path: Path, clips: Path) -> None:
    made = export_to(tmp_path, recipe(), clips=clips, golden="clips", samples=2)
    assert (made.bundle.manifest.golden.source, made.bundle.manifest.golden.samples) == ("clips", 2)
    golden = load_golden(made.bundle)
    assert golden.raw["hint"] == ("odd", "even small")
    assert golden.raw["camera"][1].reshape(-1, 3).tolist() == [[0, 255, 0]] * 30
    assert golden.inputs["camera"]["frames"][0].reshape(-1, 3).tolist() == [[255, 0, 0]] * 16
    sound = golden.inputs["mic"]["samples"][0]
    np.testing.assert_allclose(sound, 8000 / 32768 * np.sin(np.arange(64) / 5), atol=1e-4)


class FailsOnRed(nn.Module):
    """Differs from torch on a red picture only, as no noise is."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = Flat()

    def forward(self, x: Any) -> Any:
        red = x[:, 0].amin(dim=(1, 2)) - x[:, 1].amax(dim=(1, 2))
        lie = 0.5 if torch.compiler.is_exporting() else 0.0
        return self.flat(x) + lie * (red > 0.99).float().unsqueeze(1)


def test_a_difference_on_the_clips_alone_stops_the_export(tmp_path: Path, clips: Path) -> None:
    encoders = {"camera": FailsOnRed(), "mic": Flat(64), "hint": Words()}
    before = listing(tmp_path)
    with pytest.raises(ProofError, match=r"parity failed at camera/embedding: sample 0, batch 1,"):
        export_to(tmp_path, recipe(encoders=encoders), clips=clips)
    assert listing(tmp_path) == before
    assert export_to(tmp_path, recipe(encoders=encoders)).parity.passed


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(12, 2)

    def forward(self, camera: Any, mic: Any, hint: Any) -> Any:
        return self.linear(torch.cat([camera, mic, hint], dim=1))


def test_the_mean_that_stands_in_for_the_absent_is_that_of_the_clips(
    tmp_path: Path, clips: Path
) -> None:
    fusion = Fusion(module=Plain(), absent="mean")
    made = export_to(tmp_path, recipe(fusion=fusion), clips=clips, golden="clips", samples=3)
    assert made.parity.notes[1] == "absent modalities get their mean embedding over 3 clips"
    golden = load_golden(made.bundle)
    means = [torch.from_numpy(golden.embeddings[n][n]).mean(dim=0) for n in golden.embeddings]
    with torch.no_grad():
        expected = fusion.module.linear(torch.cat(means)).numpy()
    np.testing.assert_allclose(golden.outputs["answer"][-1, 0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        (
            '{"camera": "0.png", "hint": "odd"}',
            ConfigError,
            "has 0 clips with all of ['camera', 'hint', 'mic']; the proof needs at least 2",
        ),
        ('{"camera": "absent.png"}', ArtefactError, "line 1: 'camera': cannot read"),
        ("camera: 0.png", ArtefactError, "line 1: not JSON"),
    ],
)
def test_clips_that_cannot_prove_anything_are_refused(
    tmp_path: Path, clips: Path, line: str, error: type[Exception], message: str
) -> None:
    clips.write_text(line + "\n")
    before = listing(tmp_path)
    with pytest.raises(error) as caught:
        export_to(tmp_path, recipe(), clips=clips)
    assert message in str(caught.value)
    assert listing(tmp_path) == before


def test_as_many_golden_samples_travel_as_the_limit_allows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = export_to(tmp_path, one_picture(), samples=8)
    one, eight = (len(load_golden(made.bundle).first(count).to_bytes()) for count in (1, 8))
    monkeypatch.setattr(draft, "MAX_BYTES", (one + eight) // 2)
    with caplog.at_level(logging.WARNING, logger="mmedge.export.draft"):
        made = export_to(tmp_path, one_picture(), samples=8, replace=True)
    count = made.bundle.manifest.golden.samples
    assert 1 < count < 8
    assert load_golden(made.bundle).samples == count
    assert made.bundle.manifest.golden.file.bytes <= (one + eight) // 2
    assert f"{count} of 8 golden samples fit into" in caplog.text
    monkeypatch.setattr(draft, "MAX_BYTES", one - 1)
    before = listing(tmp_path)
    with pytest.raises(ResourceError, match="not even one golden sample fits"):
        export_to(tmp_path, one_picture(), samples=8, replace=True)
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("limit", "value", "count"), [("MAX_CLIPS", 2, 2), ("MAX_CLIP_BYTES", 700, 2)]
)
def test_the_proof_runs_on_as_many_clips_as_memory_and_time_allow(
    clips: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, count: int
) -> None:
    assert (samples.MAX_CLIPS, samples.MAX_CLIP_BYTES) == (64, 134_217_728)
    modalities = recipe().modalities
    assert len(samples.read_complete(clips, modalities)["hint"]) == 3
    monkeypatch.setattr(samples, limit, value)
    assert samples.read_complete(clips, modalities)["hint"] == ("odd", "even small")


def test_a_clip_too_large_to_travel_can_still_prove(
    tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    Picture.fromarray(noise).save(tmp_path / "2.png")
    monkeypatch.setattr(draft, "MAX_BYTES", 100_000)
    made = export_to(tmp_path, recipe(), clips=clips)
    assert made.parity.samples == 3
    assert made.bundle.manifest.golden.samples == 2
