"""What the live pipeline costs beside a loop written by hand.

Peer: OpenCV's own capture, cv2.resize and one ONNX graph of the same network, in a loop
without threads, which is the least that one could write. Both read the same 480p file at
the pace of a camera; CPU seconds of the process are compared, pair by pair.
"""

from __future__ import annotations

import platform
import resource
import statistics
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import onnxruntime as ort

from benchmarks.live_model import IMAGE, LABELS, bundle, monolith
from mmedge import LiveConfig, Pipeline
from mmedge.bundle import Bundle
from mmedge.runtime.pipeline.feeds import Feed
from mmedge.runtime.samples import Frame, SampleKind
from mmedge.runtime.sources import Ended

LIMIT, UPPER_LIMIT = 1.00, 1.05
FRAMES, RATE_HZ, PAIRS, FEW = 90, 60, 15, 5


class Film:
    """A file as a camera: OpenCV's capture at a camera's pace."""

    kinds: ClassVar[tuple[SampleKind, ...]] = ("image",)
    name, patience_ms = "film", 2000

    def __init__(self, path: Path, begin: threading.Event) -> None:
        self._path = path
        self._begin = begin

    def open(self) -> str:
        self._begin.wait()
        self._capture = cv2.VideoCapture(str(self._path))
        self._due_s = time.monotonic()
        return "480p"

    def read(self) -> Frame:
        pace(self._due_s)
        self._due_s += 1 / RATE_HZ
        good, pixels = self._capture.read()
        if not good:
            raise Ended
        return Frame(time.monotonic_ns(), pixels, "bgr")

    def close(self) -> None:
        self._capture.release()


def pace(due_s: float) -> None:
    early_s = due_s - time.monotonic()
    if early_s > 0:
        time.sleep(early_s)


def make_film(path: Path) -> None:
    random = np.random.default_rng(0)
    scene = cv2.resize(random.integers(0, 256, (60, 80, 3), dtype=np.uint8), (800, 600))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, (640, 480))
    for index in range(FRAMES):
        writer.write(np.ascontiguousarray(scene[index : index + 480, index : index + 640]))
    writer.release()


def by_hand(session: ort.InferenceSession, film: Path) -> float:
    """CPU seconds per frame of the least that one could write."""
    begun_s, capture, done, due_s = cpu_s(), cv2.VideoCapture(str(film)), 0, time.monotonic()
    while True:
        pace(due_s)
        due_s += 1 / RATE_HZ
        good, frame = capture.read()
        if not good:
            return (cpu_s() - begun_s) / done
        small = cv2.resize(frame, (IMAGE.width, IMAGE.height), interpolation=cv2.INTER_LINEAR)
        small = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
        logits = session.run(None, {"frames": small[None]})[0][0]
        scores = np.exp(logits - logits.max())
        _ = LABELS[int(scores.argmax())]
        done += 1


def by_pipeline(bundle: Bundle, film: Path) -> float:
    """CPU seconds per frame that was encoded; graphs are open and warm, as by hand."""
    config = LiveConfig(explain=False, heartbeat_ms=10_000)
    begin = threading.Event()
    feed = Feed(make=lambda: Film(film, begin), feeds={"image": "camera"})
    with Pipeline(bundle, feeds=[feed], config=config) as pipeline:
        begun_s = cpu_s()
        begin.set()
        while not pipeline.ended:
            time.sleep(0.1)
        spent_s = cpu_s() - begun_s
        return spent_s / pipeline.status().modalities["camera"].encodings


def session(model: bytes, **options: str | int) -> ort.InferenceSession:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.get("threads", 0)
    settings.add_session_config_entry("session.intra_op.allow_spinning", options.get("spin", "0"))
    return ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    model, made = monolith(["image"]).SerializeToString(), bundle({"camera": IMAGE})
    calm, alone, spinning = session(model), session(model, threads=1), session(model, spin="1")
    costs: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder, "film.avi")
        make_film(film)
        runs = {
            "pipeline": partial(by_pipeline, made, film),
            "by hand": partial(by_hand, calm, film),
            "by hand, one thread": partial(by_hand, alone, film),
            "by hand, spinning as by default": partial(by_hand, spinning, film),
        }
        for round_ in range(PAIRS + 1):
            for name, run in runs.items():
                if round_ < FEW or name in ("pipeline", "by hand"):
                    costs.setdefault(name, []).append(run())
    print(f"{platform.machine()}, ONNX Runtime {ort.__version__}, OpenCV {cv2.__version__}")
    for name, each in costs.items():
        print(f"{name}: {statistics.median(each[1:]) * 1e3:.2f} CPU ms per frame")
    ratios = [a / b for a, b in zip(costs["pipeline"][1:], costs["by hand"][1:], strict=True)]
    median, upper = statistics.median(ratios), upper_bound(ratios)
    print(f"ratio {median:.3f}, upper 95 % bound {upper:.3f} (limits {LIMIT}, {UPPER_LIMIT})")
    assert median <= LIMIT
    assert upper <= UPPER_LIMIT


def upper_bound(ratios: list[float]) -> float:
    """95 % bound of the median, by bootstrap."""
    random = np.random.default_rng(0)
    drawn = random.choice(ratios, (4000, len(ratios)))
    return float(np.quantile(np.median(drawn, axis=1), 0.95))


if __name__ == "__main__":
    main()
