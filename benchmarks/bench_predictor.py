"""What the predictor costs beside the graphs that it runs.

Peer: the same four graphs and the same Pillow resize, called by hand through ONNX Runtime
in the same process, interleaved. The demo's model is small, so our own share is as large
here as it gets. Contributions are left out: by hand nobody computes them.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import onnxruntime as ort
from PIL import Image

from mmedge import Predictor, open_bundle
from mmedge.demo.run import BUNDLE

LIMIT = 1.5
WARM_UP, ROUNDS = 20, 300


def by_hand() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    bundle = open_bundle(BUNDLE)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    graphs = {
        name: ort.InferenceSession(bundle.read(ref), options, providers=["CPUExecutionProvider"])
        for name, ref in bundle.manifest.plans["fp32"].graphs.items()
    }
    hint = next(i for i in bundle.manifest.graphs["fusion"].inputs if i.name == "hint").shape[1:]
    hint_feeds = {
        "hint": np.zeros((1, *hint), np.float32),
        "hint_mask": np.zeros((1, *hint[:-1]), bool),
    }
    presence = np.array([[True, True, False]])

    def run(frame: np.ndarray, sound: np.ndarray) -> np.ndarray:
        grey = Image.fromarray(frame).convert("L").resize((43, 32), Image.Resampling.BILINEAR)
        pixels = np.asarray(grey)[None, :, 5:37, None]
        camera = graphs["camera"].run(None, {"frames": np.ascontiguousarray(pixels)})[0]
        mic = graphs["mic"].run(None, {"samples": sound[None]})[0]
        feeds = {"camera": camera, "mic": mic, **hint_feeds, "presence": presence}
        logits: np.ndarray = graphs["fusion"].run(None, feeds)[0]
        return logits

    return run


def milliseconds(call: Callable[[], object]) -> float:
    begin_ns = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - begin_ns) / 1e6


def main() -> None:
    generator = np.random.default_rng(0)
    frame = generator.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    sound = generator.normal(0, 0.1, 8000).astype(np.float32)
    hand = by_hand()
    with Predictor.open(BUNDLE, threads=1) as predictor:
        sample = {"camera": frame, "mic": sound}
        ours = partial(predictor.predict_batch, [sample], explain=False)
        theirs = partial(hand, frame, sound)
        pairs = [(milliseconds(ours), milliseconds(theirs)) for _ in range(WARM_UP + ROUNDS)]
        explained = statistics.median(
            milliseconds(lambda: predictor.predict_batch([sample])) for _ in range(50)
        )
    a, b = (statistics.median(column) for column in zip(*pairs[WARM_UP:], strict=True))
    print(
        f"{platform.machine()}, Python {platform.python_version()}, ONNX Runtime {ort.__version__}"
    )
    print(f"predictor {a:.3f} ms, by hand {b:.3f} ms, ratio {a / b:.2f} (limit {LIMIT})")
    print(f"with contributions {explained:.3f} ms")
    assert a / b <= LIMIT


if __name__ == "__main__":
    main()
