"""What it saves to have one graph per encoder, and to keep embeddings.

Peer: all encoders and the head as one graph, as most people export, run at every picture.
A camera at 30 Hz, sound windows at 10 Hz and a text that stays; virtual time, so both run as
fast as they can, on one thread. Ours goes through the live pipeline's own parts: rings,
encoding stages, desk and fuser, with a prediction at every new embedding.
"""

from __future__ import annotations

import os
import platform
import statistics
import time

import cv2
import numpy as np
import onnxruntime as ort

from benchmarks.live_model import IMAGE, SOUND, bundle, monolith
from mmedge import LiveConfig
from mmedge.runtime.pipeline.encoding import EncodingStage
from mmedge.runtime.pipeline.fusing import Desk, Fuser
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.rings import make_ring
from mmedge.runtime.samples import Block, Frame, Line
from mmedge.specs import Text

NS_PER_S = 1_000_000_000
TEXT = "the front door"
PAIRS = 5
random = np.random.default_rng(0)
FRAMES = list(random.integers(0, 256, (8, 480, 640, 3), dtype=np.uint8))
PCM = random.integers(-3000, 3000, (16_000 * 4, 1), dtype=np.int16)


class Separate:
    """The parts of the live pipeline, along a clock of their own."""

    def __init__(self, tokens: int, vit: bool) -> None:
        modalities = {"camera": IMAGE, "mic": SOUND}
        if tokens:
            modalities["hint"] = Text(tokenizer="words.json", max_tokens=tokens)
        self.predictor = Predictor(bundle(modalities, vit), threads=1)
        self.modalities = self.predictor.manifest.modalities

    def run(self, seconds: int) -> int:
        """Gives the number of predictions."""
        config = LiveConfig(explain=False)
        rings = {name: make_ring(name, each) for name, each in self.modalities.items()}
        stages = {name: EncodingStage(name, self.predictor) for name in rings}
        desk, fuser = Desk(self.predictor, config), Fuser(self.predictor, config)
        begin_ns, ticks = NS_PER_S, 0
        if "hint" in rings:
            rings["hint"].push(Line(begin_ns, TEXT))
        rings["mic"].push(Block(0, PCM[:16_000], 16_000, 0, 0))
        for frame in range(30 * seconds):
            now_ns = begin_ns + frame * NS_PER_S // 30
            rings["camera"].push(Frame(now_ns, FRAMES[frame % 8], "bgr"))
            if frame % 3 == 0 and frame:
                first = 16_000 + (frame // 3 - 1) * 1600
                block = PCM[first : first + 1600]
                rings["mic"].push(Block(first * NS_PER_S // 16_000, block, 16_000, 0, first))
            for name, ring in rings.items():
                window = ring.take()
                if window is not None:
                    desk.put(stages[name](window))
                if desk.due(now_ns):
                    fuser(desk.select(now_ns), now_ns)
                    ticks += 1
        return ticks


class Monolith:
    """One session, and the windows cut by hand."""

    def __init__(self, tokens: int, vit: bool) -> None:
        kinds = ["vit" if vit else "image", "sound"] + ["text"] * bool(tokens)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(
            monolith(kinds, tokens).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        ids = np.zeros((1, tokens), np.int64)
        ids[:, :3] = (2, 3, 4)[:tokens]
        self.text = {"ids": ids, "mask": (ids > 0).astype(np.int64)} if tokens else {}

    def run(self, seconds: int) -> int:
        for frame in range(30 * seconds):
            small = cv2.resize(FRAMES[frame % 8], (224, 224), interpolation=cv2.INTER_LINEAR)
            small = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
            first = frame // 3 * 1600
            samples = PCM[first : first + 16_000, 0].astype(np.float32) / 32768
            feeds = {"frames": small[None], "samples": samples[None], **self.text}
            logits = self.session.run(None, feeds)[0][0]
            _ = int(logits.argmax())
        return 30 * seconds


def cpu_s(seconds: int, thing: Separate | Monolith) -> float:
    begun_s = time.process_time()
    assert thing.run(seconds) >= 30 * seconds
    return time.process_time() - begun_s


def main() -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, ONNX Runtime {ort.__version__}")
    for name, tokens, vit, seconds, limit in (
        ("MobileNet, sound, a text of 128 tokens", 128, False, 1, 0.31),
        ("MobileNet, sound", 0, False, 3, 0.62),
        ("ViT, sound, a text of 128 tokens", 128, True, 1, 0.59),
    ):
        ours, theirs = Separate(tokens, vit), Monolith(tokens, vit)
        pairs = [(cpu_s(seconds, ours), cpu_s(seconds, theirs)) for _ in range(PAIRS + 1)][1:]
        ratio = statistics.median(a / b for a, b in pairs)
        a_ms, b_ms = (statistics.median(each) / seconds * 1e3 for each in zip(*pairs, strict=True))
        print(f"{name}: {a_ms:.0f} CPU ms per second, as one graph {b_ms:.0f}: {ratio:.3f}", end="")
        print(f" (limit {limit})")
        assert ratio <= limit


if __name__ == "__main__":
    main()
