"""What the live pipeline costs beside a loop written by hand.

Peer: OpenCV's own capture, cv2.resize and one ONNX graph of the same network, in a loop
without threads, which is the least that one could write, with ONNX Runtime's spinning between
pictures switched off. Both read the same 480p file at the pace of a camera; CPU seconds are
compared, pair by pair. Beside them, for the reader: the loop with ONNX Runtime's session as it
comes, whose threads spin; the calm one on one thread; and GStreamer decoding and scaling in a
process of its own, where gst-launch-1.0 is installed.

The network is MobileNetV3-small. What the pipeline does beside it, about 0.4 ms a picture, is
the same for every network: with one of half the work (`live_model.draw_image`) medians of 1.02
and 1.04 were seen, and on its one thread the calm loop is always the cheaper.
"""

from __future__ import annotations

import platform
import resource
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import onnxruntime as ort

from benchmarks import mobilenet
from benchmarks.live_model import IMAGE, LABELS, make_bundle
from mmedge import LiveConfig, Pipeline
from mmedge.bundle import Bundle
from mmedge.runtime.pipeline.feeds import Feed
from mmedge.runtime.samples import Frame, SampleKind
from mmedge.runtime.sources import Ended

LIMIT, UPPER_LIMIT = 1.00, 1.05
FRAMES, RATE_HZ, PAIRS, FEW = 75, 60, 25, 5


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


def by_gstreamer(session: ort.InferenceSession, film: Path) -> float:
    """GStreamer decodes, scales and paces (at 30 Hz, as the file says); its CPU counts too."""
    command = f"""gst-launch-1.0 -q filesrc location={film} ! avidemux ! jpegdec ! videoconvert !
        videoscale method=bilinear ! video/x-raw,format=RGB,width=224,height=224 !
        fdsink sync=true"""
    begun_s, done = cpu_s(), 0
    with subprocess.Popen(command.split(), stdout=subprocess.PIPE) as gstreamer:
        assert gstreamer.stdout is not None
        while len(data := gstreamer.stdout.read(224 * 224 * 3)) == 224 * 224 * 3:
            frame = np.frombuffer(data, np.uint8).reshape(1, 224, 224, 3)
            logits = session.run(None, {"frames": frame})[0][0]
            _ = LABELS[int(logits.argmax())]
            done += 1
    assert done == FRAMES, f"GStreamer gave {done} of {FRAMES} pictures"
    return (cpu_s() - begun_s) / done


def session(model: bytes, **options: str | int) -> ort.InferenceSession:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.get("threads", 0)
    settings.add_session_config_entry("session.intra_op.allow_spinning", options.get("spin", "0"))
    return ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def cpu_s() -> float:
    """Of this process, and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    model = mobilenet.classifier().SerializeToString()
    made = make_bundle({"camera": IMAGE}, {"camera": mobilenet.encoder()})
    calm, alone, spinning = session(model), session(model, threads=1), session(model, spin="1")
    costs: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder, "film.avi")
        make_film(film)
        runs = {
            "pipeline": partial(by_pipeline, made, film),
            "by hand": partial(by_hand, spinning, film),
            "by hand, calm": partial(by_hand, calm, film),
            "by hand, calm, one thread": partial(by_hand, alone, film),
        }
        if shutil.which("gst-launch-1.0"):
            runs["GStreamer"] = partial(by_gstreamer, calm, film)
        else:
            print("GStreamer: not installed (gstreamer1.0-tools, gstreamer1.0-plugins-good)")
        for round_ in range(PAIRS + 1):
            chosen = list(runs.items())[: None if round_ < FEW else 3]
            for name, run in chosen if round_ % 2 else reversed(chosen):
                costs.setdefault(name, []).append(run())
    print(f"{platform.machine()}, ONNX Runtime {ort.__version__}, OpenCV {cv2.__version__}")
    for name, each in costs.items():
        print(f"{name}: {statistics.median(each[1:]) * 1e3:.2f} CPU ms per frame")
    compare(costs, "by hand")
    median, upper = compare(costs, "by hand, calm")
    assert median <= LIMIT
    assert upper <= UPPER_LIMIT


def compare(costs: Mapping[str, Sequence[float]], peer: str) -> tuple[float, float]:
    """Median of the pairs' ratios, and its upper 95 % bound."""
    ratios = [a / b for a, b in zip(costs["pipeline"][1:], costs[peer][1:], strict=True)]
    median, upper = statistics.median(ratios), upper_bound(ratios)
    print(f"pipeline over {peer}: {median:.3f}, upper 95 % bound {upper:.3f}")
    return median, upper


def upper_bound(ratios: list[float]) -> float:
    """95 % bound of the median, by bootstrap."""
    random = np.random.default_rng(0)
    drawn = random.choice(ratios, (4000, len(ratios)))
    return float(np.quantile(np.median(drawn, axis=1), 0.95))


if __name__ == "__main__":
    main()
