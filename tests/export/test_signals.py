"""A signal beside a picture, from numbers to a proven bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from mmedge import Classification, Image, Predictor, Signal  # noqa: E402
from mmedge.export import ExportConfig, Recipe, export_bundle  # noqa: E402
from mmedge.models import ConcatenationFusion, ImageCNN, SignalCNN  # noqa: E402
from mmedge.runtime.offline import assign, predict_files  # noqa: E402

pytestmark = pytest.mark.torch

IMU = Signal(channels=3, rate_hz=50, window_ms=1000, hop_ms=500, mean=(0, 0, 9.8), std=(1, 1, 2))
GREY = Image(height=16, width=16, colour="grey")


def recipe() -> Recipe:
    torch.manual_seed(0)
    return Recipe(
        modalities={"camera": GREY, "imu": IMU},
        encoders={"camera": ImageCNN(1, 4, 8), "imu": SignalCNN(3, 4, 8)},
        fusion=ConcatenationFusion({"camera": 8, "imu": 8}, {"event": 2}),
        tasks={"event": Classification(labels=("still", "fall"))},
    )


def test_a_signal_is_exported_proven_and_predicted_from_a_file(tmp_path: Path) -> None:
    made = export_bundle(recipe(), ExportConfig(out=tmp_path / "fall.mmedge"))
    assert made.parity.passed
    assert {"imu/values", "imu/front_end", "imu/embedding"} <= set(made.parity.by_point())
    rows = "\n".join(f"{i / 50},0.1,{i % 3},9.8" for i in range(126))
    (tmp_path / "walk.csv").write_text(f"time_s,x,y,z\n{rows}\n")
    with Predictor(made.bundle) as predictor:
        sources = assign([str(tmp_path / "walk.csv")], predictor.manifest.modalities)
        found = list(predict_files(predictor, sources))
    assert [each.end_ns // 1_000_000 for each in found] == [1000, 1500, 2000, 2500]
    assert all(each.prediction.presence == {"camera": False, "imu": True} for each in found)


def test_the_front_end_standardises_each_channel() -> None:
    from mmedge.models import StandardiseFrontEnd

    values = torch.tensor([[[1.0, -2.0, 13.8]]])
    assert torch.allclose(StandardiseFrontEnd(IMU)(values), torch.tensor([[[1.0, -2.0, 2.0]]]))
