"""What it costs to choose ranges: memory and CPU time, ours beside ONNX Runtime's and NNCF's.

    python -m benchmarks.bench_calibration
    NNCF_PYTHON=~/nncf/bin/python python -m benchmarks.bench_calibration   # nncf, openvino, torch

A network of MobileNet's make on pictures drawn one by one: ranges by entropy of all that its
layers take and give, and the INT8 model written. Each is measured in a process of its own, from
start to end with all that is imported: peak memory (``VmHWM``) and CPU seconds of all threads.
ONNX Runtime's calibrator keeps every activation of every sample: 200 of them need 4.5 GB.
NNCF imports torch wherever it is installed, as it is where models are exported; without it the
comparison is printed and not held.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

FEW, MANY, TIMED = 8, 2000, 200
ROUNDS = 3
GROWN_LIMIT_MB, NNCF_LIMIT, TIME_LIMIT = 30.0, 0.4, 0.35
SIZE = 224


def pictures(count: int) -> Iterator[dict[str, np.ndarray]]:
    """Blocks of drawn contrast with noise: uint8 ``[1, 224, 224, 3]``, one at a time."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 40, (2 * SIZE, SIZE, 3), np.uint8)
    for _ in range(count):
        top, contrast = random.integers(1, SIZE), random.integers(20, 216)
        blocks = random.integers(0, contrast, (SIZE // 8, SIZE // 8, 3), np.uint8)
        picture = blocks.repeat(8, axis=0).repeat(8, axis=1) + noise[top : top + SIZE]
        yield {"frames": picture[None]}


def ours(model: Path, count: int, out: Path) -> None:
    from mmedge.calibration.graph import Graph
    from mmedge.calibration.layers import find_layers
    from mmedge.calibration.lowering import Lowering
    from mmedge.calibration.observing import Observer
    from mmedge.calibration.ranges import find_range
    from mmedge.calibration.rewrite.cpu import lower_cpu

    data = model.read_bytes()
    layers = find_layers(Graph(data))
    observer = Observer(data, [v for each in layers for v in (*each.activations, each.output)])
    for feeds in pictures(count):
        observer.add(feeds)
    ranges = {
        name: find_range(each, "entropy", symmetric=False, levels=256)
        for name, each in observer.histograms.items()
    }
    names = frozenset(each.name for each in layers)
    lowered = lower_cpu(data, Lowering(int8=names, ranges=ranges))
    assert len(lowered.int8) == len(layers), lowered.kept
    out.write_bytes(lowered.model)


def onnx_runtime(model: Path, count: int, out: Path) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        quantize_static,
    )

    class Reader(CalibrationDataReader):
        feeds = pictures(count)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.feeds, None)

    quantize_static(
        str(model),
        str(out),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        calibrate_method=CalibrationMethod.Entropy,
    )


def nncf(model: Path, count: int, out: Path) -> None:
    import nncf
    import openvino

    made = nncf.quantize(
        openvino.Core().read_model(model),
        nncf.Dataset(list(range(count)), _Drawn(count)),
        subset_size=count,
    )
    openvino.save_model(made, out.with_suffix(".xml"))


class _Drawn:
    """NNCF asks by index, in order, more than once."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._feeds = iter(())

    def __call__(self, index: int) -> dict[str, np.ndarray]:
        if index == 0:
            self._feeds = pictures(self._count)
        return next(self._feeds)


MEASURED: dict[str, Callable[[Path, int, Path], None]] = {
    each.__name__: each for each in (ours, onnx_runtime, nncf)
}


def measure(
    name: str, model: Path, count: int, python: str = sys.executable
) -> tuple[float, float]:
    """Peak memory in MB and CPU seconds of a process that calibrates."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "int8.onnx"
        done = subprocess.run(
            [python, __file__, name, str(model), str(count), str(out)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        if done.returncode:
            raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
        assert any(Path(folder).iterdir()), f"{name} wrote nothing"
    memory_mb, cpu_s, torch = map(float, done.stdout.splitlines()[-1].split())
    print(f"{name}, {count} samples: {memory_mb:.0f} MB, {cpu_s:.1f} CPU s", flush=True)
    return [memory_mb, cpu_s, torch]


def child(name: str, model: str, count: str, out: str) -> None:
    MEASURED[name](Path(model), int(count), Path(out))
    status = Path("/proc/self/status").read_text()
    peak_kb = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(int(peak_kb) / 1000, used.ru_utime + used.ru_stime, int("torch" in sys.modules))


def scales(model: bytes) -> None:
    """Two batches, two orders, two runs: the same ranges to the bit, by every method."""
    from mmedge.calibration.observing import Observer
    from mmedge.calibration.ranges import METHODS, find_range
    from mmedge.calibration.rewrite.fp16 import values_to_observe

    frames, found = np.concatenate([each["frames"] for each in pictures(64)]), []
    for order, batch in ((1, 1), (1, 32), (-1, 32), (1, 1)):
        observer, ordered = Observer(model, values_to_observe(model)), frames[::order]
        for begin in range(0, len(ordered), batch):
            observer.add({"frames": ordered[begin : begin + batch]})
        found.append(
            [
                find_range(each, method, symmetric=symmetric, levels=levels)
                for each in observer.histograms.values()
                for method in METHODS
                for symmetric, levels in ((True, 255), (False, 256))
            ]
        )
    print(f"{len(found[0])} ranges, batches of 1 and 32, two orders, two runs: ", end="")
    assert all(each == found[0] for each in found)
    print("identical", flush=True)


def main() -> None:
    import onnxruntime

    from benchmarks.int8_cases import named
    from benchmarks.live_model import encoder

    print(f"{platform.machine()}, {os.cpu_count()} cores, ONNX Runtime {onnxruntime.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "fp32.onnx"
        model.write_bytes(named(encoder("image")))
        scales(model.read_bytes())
        few_mb, many_mb = (measure("ours", model, count)[0] for count in (FEW, MANY))
        print(f"memory from {FEW} to {MANY} samples: {many_mb - few_mb:+.1f} MB ({GROWN_LIMIT_MB})")
        assert abs(many_mb - few_mb) <= GROWN_LIMIT_MB
        mine_s = min(measure("ours", model, TIMED)[1] for _ in range(ROUNDS))
        theirs_mb, theirs_s, _ = measure("onnx_runtime", model, TIMED)
        print(f"CPU time over ONNX Runtime's: {mine_s / theirs_s:.2f} (limit {TIME_LIMIT})")
        assert mine_s / theirs_s <= TIME_LIMIT
        assert many_mb < theirs_mb
        if python := os.environ.get("NNCF_PYTHON"):
            nncf_mb, _, torch = measure("nncf", model, TIMED, python)
            limit = f"limit {NNCF_LIMIT}" if torch else "no torch there, no limit"
            print(f"memory over NNCF's: {many_mb / nncf_mb:.2f} ({limit})")
            assert not torch or many_mb / nncf_mb <= NNCF_LIMIT


if __name__ == "__main__":
    child(*sys.argv[1:]) if len(sys.argv) > 1 else main()
