from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mmedge.errors import ConfigError  # noqa: E402
from mmedge.models.normalise import NormaliseFrontEnd  # noqa: E402
from mmedge.specs import Image  # noqa: E402
from tests.models.front_ends import export, session  # noqa: E402

pytestmark = pytest.mark.torch

IMAGENET = Image(height=6, width=8, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def exact(spec: Image, frames: np.ndarray) -> np.ndarray:
    values = (frames.astype(np.float64) * spec.scale - np.array(spec.mean)) / np.array(spec.std)
    return np.moveaxis(values, -1, -3)


def test_black_and_white_have_imagenets_textbook_values() -> None:
    frames = torch.zeros(2, 6, 8, 3, dtype=torch.uint8)
    frames[1] = 255
    result = NormaliseFrontEnd(IMAGENET)(frames)
    assert result.dtype == torch.float32
    assert result.shape == (2, 3, 6, 8)
    expected = [[-2.117904, -2.035714, -1.804444], [2.248908, 2.428571, 2.64]]
    np.testing.assert_allclose(result[..., 0, 0], expected, atol=1e-6)


@pytest.mark.parametrize(
    "spec",
    [
        IMAGENET,
        Image(height=6, width=8),
        Image(height=6, width=8, colour="grey", mean=(0.1307,), std=(0.3081,)),
        Image(height=6, width=8, frames=4, scale=1.0, mean=(127.0,), std=(128.0,)),
    ],
    ids=["imagenet", "unit range", "grey", "clip in byte units"],
)
def test_the_module_and_the_graph_agree_with_float64(spec: Image) -> None:
    module = NormaliseFrontEnd(spec).eval()
    clip = (spec.frames,) if spec.frames > 1 else ()
    example = torch.zeros(2, *clip, 6, 8, spec.channels, dtype=torch.uint8)
    run = session(export(module, example))
    for batch in (1, 2, 5):
        frames = pictures(batch, *clip, 6, 8, spec.channels)
        expected = exact(spec, frames)
        assert expected.shape == (batch, *clip, spec.channels, 6, 8)
        np.testing.assert_allclose(module(torch.from_numpy(frames)), expected, rtol=0, atol=1e-6)
        np.testing.assert_allclose(run(frames), expected, rtol=0, atol=1e-6)


def test_bytes_are_cast_before_they_are_moved() -> None:
    model = export(NormaliseFrontEnd(IMAGENET).eval(), torch.zeros(2, 6, 8, 3, dtype=torch.uint8))
    assert [node.op_type for node in model.graph.node] == ["Cast", "Transpose", "Mul", "Add"]


def test_a_checkpoint_carries_no_constants() -> None:
    assert not NormaliseFrontEnd(IMAGENET).state_dict()


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (torch.zeros(1, 6, 8, 3), r"torch\.float32 \[1, 6, 8, 3\], but expects torch\.uint8"),
        (torch.zeros(1, 3, 6, 8, dtype=torch.uint8), r"expects torch\.uint8 \[B, 6, 8, 3\]"),
        (torch.zeros(6, 8, 3, dtype=torch.uint8), r"got torch\.uint8 \[6, 8, 3\]"),
    ],
)
def test_other_than_the_declared_bytes_are_refused(frames: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NormaliseFrontEnd(IMAGENET)(frames)
