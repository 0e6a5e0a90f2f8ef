"""What docs/keras.md shows is run as it stands there: Keras, ONNX, recipe, bundle, comparison."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

pytest.importorskip("torch")

from mmedge import Image
from mmedge.runtime.preprocess import make_preprocessor

pytestmark = [
    pytest.mark.models,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        find_spec("tensorflow") is None or find_spec("tf2onnx") is None,
        reason="tensorflow-cpu or tf2onnx is not installed: tests/models-requirements.txt",
    ),
]
ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "keras.md").read_text(encoding="utf-8")


def scripts() -> dict[str, str]:
    """The page's Python, by the file name in its first line."""
    blocks = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", PAGE, re.M | re.S)
    return dict(blocks)


def run(folder: Path, *command: str) -> str:
    """Run Python in a process of its own: TensorFlow and torch need not meet."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keras")
    assert sorted(scripts()) == ["compare.py", "recipe.py", "train.py"]
    for name, text in scripts().items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "saved.py").write_text(
        scripts()["train.py"] + 'encoder.export("saved", verbose=False)\n', encoding="utf-8"
    )
    run(folder, "saved.py")
    return folder


def exported(folder: Path) -> dict[str, float]:
    run(folder, "-m", "mmedge", "export", "recipe.py:recipe", "-o", "digits.mmedge", "--force")
    assert "ok" in run(folder, "-m", "mmedge", "verify", "digits.mmedge")
    printed = run(folder, "compare.py")
    found = re.fullmatch(r"largest difference in probability: (\S+)\nright: (\S+)%\n", printed)
    assert found is not None, printed
    return {"difference": float(found[1]), "right": float(found[2])}


def test_the_page_leads_from_keras_to_a_bundle_with_the_same_answers(trained: Path) -> None:
    found = exported(trained)
    assert found["difference"] < 1e-4
    assert found["right"] > 90


def test_a_saved_model_goes_the_same_way(trained: Path) -> None:
    command = re.search(r"^python (-m tf2onnx\.convert .*)$", PAGE, re.M)
    assert command is not None
    (trained / "encoder.onnx").unlink()
    run(trained, *command[1].split())
    assert exported(trained)["difference"] < 1e-4


def test_each_way_of_resizing_has_the_filter_that_the_page_names(tmp_path: Path) -> None:
    skimage = pytest.importorskip("skimage", reason="tests/models-requirements.txt")
    photo = Path(skimage.__file__).parent / "data" / "coffee.png"
    (tmp_path / "resize.py").write_text(
        f"""
import keras, numpy as np, tensorflow as tf
from PIL import Image
photo = np.asarray(Image.open({str(photo)!r}).convert("RGB"))
size = (224, 224)
load = keras.utils.load_img
np.savez("resized.npz", **{{
    "cv2-linear 1": tf.image.resize(photo, size),
    "cv2-linear 2": keras.layers.Resizing(*size)(photo[None].astype("float32"))[0],
    "pillow-bilinear 1": tf.image.resize(photo, size, antialias=True),
    "pillow-bilinear 0": load({str(photo)!r}, target_size=size, interpolation="bilinear"),
    "cv2-area 1": tf.image.resize(photo, size, method="area"),
    "pillow-nearest 0": tf.image.resize(photo, size, method="nearest"),
    "pillow-nearest  0": load({str(photo)!r}, target_size=size),
}})
""",
        encoding="utf-8",
    )
    run(tmp_path, "resize.py")
    with Pillow.open(photo) as opened:
        raw = np.asarray(opened.convert("RGB"))
    with np.load(tmp_path / "resized.npz") as resized:
        for name, theirs in resized.items():
            filter_name = name.split()[0]
            spec = Image.model_validate(
                {"height": 224, "width": 224, "fit": "stretch", "filter": filter_name}
            )
            ours = make_preprocessor("photo", spec, None)(raw)["frames"]
            most = 0 if name.endswith("0") else 1
            assert np.abs(theirs.astype(np.float64) - ours).max() <= most, name
