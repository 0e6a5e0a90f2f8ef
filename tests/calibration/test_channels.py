"""What is known of the channels of activations."""

from __future__ import annotations

import numpy as np
from onnx import helper

from mmedge.calibration.channels import ChannelObserver
from tests.fakes import onnx_model

DOUBLED = onnx_model(
    [helper.make_node("Add", ["samples", "samples"], ["embedding"], name="twice")],
    {"samples": ["batch", 2, 3]},
    {"embedding": ["batch", 2, 3]},
)
SAMPLES = np.float32([[[1, 2, 3], [4, -5, 6]], [[0, 0, 0], [7, 8, -9]]])


def test_every_channel_has_its_own_ends_and_mean() -> None:
    observer = ChannelObserver(DOUBLED, {"embedding": -1})
    observer.add({"samples": SAMPLES[:1]})
    observer.add({"samples": SAMPLES[1:]})
    seen = observer.channels["embedding"]
    np.testing.assert_array_equal(seen.low, [0, -10, -18])
    np.testing.assert_array_equal(seen.high, [14, 16, 12])
    np.testing.assert_array_equal(seen.mean, [6, 2.5, 0])
    assert seen.largest == 18


def test_channels_may_lie_along_another_axis_as_a_picture_s_do() -> None:
    observer = ChannelObserver(DOUBLED, {"embedding": 1})
    observer.add({"samples": SAMPLES})
    seen = observer.channels["embedding"]
    np.testing.assert_array_equal(seen.low, [0, -18])
    np.testing.assert_array_equal(seen.high, [6, 16])
    np.testing.assert_allclose(seen.mean, [2, 22 / 6], rtol=1e-6)


def test_numbers_that_are_not_finite_are_passed_over() -> None:
    observer = ChannelObserver(DOUBLED, {"embedding": -1})
    observer.add({"samples": np.float32([[[1, -np.inf, np.nan], [3, 2, np.inf]]])})
    seen = observer.channels["embedding"]
    np.testing.assert_array_equal(seen.low, [2, 4, 0])
    np.testing.assert_array_equal(seen.high, [6, 4, 0])
    np.testing.assert_array_equal(seen.mean, [4, 4, 0])


def test_with_nothing_to_watch_nothing_is_seen() -> None:
    observer = ChannelObserver(DOUBLED, {})
    observer.add({"samples": SAMPLES})
    assert observer.channels == {}
