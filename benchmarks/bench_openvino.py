"""Where OpenVINO takes at most 0.9 of ONNX Runtime's time, ``mmedge bench`` takes it.

A camera's encoder of narrow convolutions with residuals (20 channels, 112 x 112 pixels), as a
bundle, benched whole: OpenVINO has to be there (extra ``openvino``), else there is nothing to
say. The rule itself is held by tests with given times.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from onnx import TensorProto

from benchmarks.live_model import EMBEDDING, RAW, WIDTH, Drawing, make_bundle
from mmedge.bundle import Bundle, file_ref, save_bundle
from mmedge.manifest import FRONT_END
from mmedge.proof.bench import BenchConfig, bench_bundle
from mmedge.proof.golden import Golden
from mmedge.proof.subsets import presence_rows
from mmedge.proof.taps import with_output
from mmedge.runtime.backends import open_backend
from mmedge.runtime.predictor import Predictor
from mmedge.specs import Image

LIMIT = 0.9
MOST = 3
SIDE, CHANNELS, PAIRS = 112, 20, 3
CAMERA = Image(height=SIDE, width=SIDE, filter="cv2-linear", fit="stretch")


def narrow_bundle() -> Bundle:
    """A bundle in memory that proves itself: what ONNX Runtime computes is its reference."""
    drawing = Drawing(1)
    value = drawing.add("Transpose", ["frames"], perm=[0, 3, 1, 2])
    value = drawing.add("Cast", [value], to=TensorProto.FLOAT)
    value = drawing.add("Mul", [value, drawing.constant(np.float32(1 / 255))], FRONT_END)
    same = {"pads": [1, 1, 1, 1]}
    value = drawing.conv(value, CHANNELS, 3, 3, **same)
    for _ in range(PAIRS):
        inner = drawing.conv(value, CHANNELS, CHANNELS, 3, **same)
        weight = drawing.weight(CHANNELS, CHANNELS, 3, 3)
        inner = drawing.add("Conv", [inner, weight], **same)
        value = drawing.add("Relu", [drawing.add("Add", [inner, value])])
    value = drawing.add("Flatten", [drawing.add("GlobalAveragePool", [value])])
    drawing.linear(value, CHANNELS, WIDTH, "embedding")
    frames = RAW["image"][0].model_copy(update={"shape": ("batch", SIDE, SIDE, 3)})
    return prove(make_bundle({"camera": CAMERA}, {"camera": drawing.model([frames], [EMBEDDING])}))


def prove(bundle: Bundle) -> Bundle:
    """Put golden samples into a bundle with one camera."""
    raw = np.random.default_rng(3).integers(0, 256, (1, 120, 160, 3), np.uint8)
    model = bundle.read(bundle.manifest.plans["fp32"].graphs["camera"])
    with (
        Predictor(bundle, threads=1) as predictor,
        open_backend("cpu", with_output(model, FRONT_END), what="the camera", threads=1) as tapped,
    ):
        frames = predictor.prepare("camera", raw[0])["frames"][None]
        made = tapped.run({"frames": frames})
        presence = presence_rows(("camera",))
        embeddings = np.repeat(made["embedding"], len(presence), axis=0)
        scores = predictor.fuse({"camera": embeddings}, presence)["thing"]
    golden = Golden(
        raw={"camera": (raw[0],)},
        inputs={"camera": {"frames": frames}},
        front_ends={"camera": made[FRONT_END]},
        embeddings={"camera": {"camera": made["embedding"]}},
        presence=presence,
        outputs={"thing": scores[:, None]},
    ).to_bytes()
    ref = file_ref("golden", ".npz", golden)
    was = bundle.manifest.golden
    manifest = bundle.manifest.model_copy(update={"golden": was.model_copy(update={"file": ref})})
    return Bundle.in_memory(manifest, {**bundle.files, ref.name: golden})


def main() -> None:
    if find_spec("openvino") is None:
        print("openvino is not installed: nothing was compared", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "narrow.mmedge")
        save_bundle(narrow_bundle(), path)
        for _ in range(MOST):
            found = bench_bundle(BenchConfig(bundle=path, backends=("openvino",), threads=1))
            usual, other = found.rows
            assert usual.verified
            assert other.verified
            taken = "nothing" if found.best is None else found.best.backend
            print(f"{found.machine}: OpenVINO takes {other.ratio:.2f} of the time; taken: {taken}")
            assert (taken == "openvino") == (other.ratio <= LIMIT)
            if other.ratio <= LIMIT:
                return
    raise AssertionError(f"OpenVINO never took {LIMIT} of ONNX Runtime's time")


if __name__ == "__main__":
    main()
