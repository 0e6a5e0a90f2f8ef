"""An encoder of samples: with each window standardised, as wav2vec 2.0 was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from mmedge import Classification, Predictor, Sound  # noqa: E402
from mmedge.export import ExportConfig, Recipe, export_bundle  # noqa: E402
from mmedge.models import ConcatenationFusion, StandardiseWindow  # noqa: E402
from mmedge.proof.trust import load_golden  # noqa: E402

pytestmark = pytest.mark.torch


class Frames(nn.Module):
    """Strided convolutions over samples, pooled."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 8, kernel_size=10, stride=5)

    def forward(self, samples: Tensor) -> Tensor:
        return self.conv(samples.unsqueeze(1)).relu().mean(dim=2)


def test_windows_are_standardised_in_the_graph(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = Recipe(
        modalities={"mic": Sound(rate_hz=8_000, window_ms=100, hop_ms=50, standardise=True)},
        encoders={"mic": Frames()},
        fusion=ConcatenationFusion({"mic": 8}, {"event": 2}),
        tasks={"event": Classification(labels=("quiet", "word"))},
    )
    made = export_bundle(recipe, ExportConfig(out=tmp_path / "raw.mmedge"))
    assert "mic/front_end" in made.parity.by_point()
    front_end = load_golden(made.bundle).front_ends["mic"]
    np.testing.assert_allclose(front_end.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(front_end.std(axis=1), 1, atol=1e-4)
    sound = np.random.default_rng(0).uniform(-0.01, 0.01, 800).astype(np.float32)
    with Predictor(made.bundle) as predictor:
        quiet, loud = predictor.embed([{"mic": sound}, {"mic": 50 * sound + 0.2}])["mic"]
    np.testing.assert_allclose(quiet, loud, rtol=0.01)


def test_silence_stays_silence_and_channels_are_apart() -> None:
    both = torch.zeros(1, 2, 4)
    both[0, 1] = torch.tensor([0.5, -0.5, 0.5, -0.5])
    expected = [[[0, 0, 0, 0], [1, -1, 1, -1]]]
    np.testing.assert_allclose(StandardiseWindow()(both), expected, atol=1e-6)
