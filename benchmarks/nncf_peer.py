"""What NNCF and OpenVINO make of a model of `benchmarks.bench_int8`, beside ONNX Runtime's float32.

Run by the benchmark, with a Python that has nncf, openvino, onnx and onnxruntime: they ask for
other versions than mmedge is tested with. `main` is the child's.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

NEEDED = ("nncf", "openvino", "onnx", "onnxruntime")
WARM_UP = 3


def missing(python: str) -> str:
    """Say why a Python cannot run the peer; empty if it can."""
    code = f"import importlib.util as u; print(*[n for n in {NEEDED} if u.find_spec(n) is None])"
    try:
        told = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        return f"{python} does not run: {exc}"
    lacking = told.stdout.strip()
    return f"{python} lacks {lacking.replace(' ', ', ')}" if lacking else ""


def beside(
    model: bytes, ranges: Mapping[str, np.ndarray], held_out: Mapping[str, np.ndarray], pairs: int
) -> dict[str, float] | str:
    """Give ``ms``, ``ratio`` to ONNX Runtime's float32 and ``db``; or say why there are none."""
    python = os.environ.get("NNCF_PYTHON", sys.executable)
    if why := missing(python):
        return f"{why}; NNCF_PYTHON may name one that has them"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "fp32.onnx").write_bytes(model)
        np.savez(Path(folder) / "ranges.npz", **ranges)
        np.savez(Path(folder) / "held_out.npz", **held_out)
        done = subprocess.run(
            [python, __file__, folder, str(pairs)], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(f"NNCF failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(folder: Path, pairs: int) -> None:
    import onnxruntime

    ranges, held_out = (dict(np.load(folder / f"{name}.npz")) for name in ("ranges", "held_out"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        folder / "fp32.onnx", options, providers=["CPUExecutionProvider"]
    )
    theirs = compiled(folder / "fp32.onnx", ranges)
    exact, found = [], []
    for index in range(len(next(iter(held_out.values())))):
        feeds = row(held_out, index)
        exact.append(session.run(None, feeds)[0])
        found.append(theirs(feeds))
    signal, error = np.square(exact).sum(), np.square(np.subtract(exact, found)).sum()
    one = row(held_out, 0)
    times = [(ms(lambda: session.run(None, one)), ms(lambda: theirs(one))) for _ in range(pairs)]
    result = {
        "ms": statistics.median(mine for _, mine in times[WARM_UP:]),
        "ratio": statistics.median(mine / first for first, mine in times[WARM_UP:]),
        "db": float(10 * np.log10(signal / error)),
    }
    print(json.dumps(result))


def compiled(
    path: Path, ranges: Mapping[str, np.ndarray]
) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """Quantise with NNCF's defaults for the kind of model, and compile for one thread."""
    import nncf
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({each.any_name: [1, *ranges[each.any_name].shape[1:]] for each in model.inputs})
    count = len(next(iter(ranges.values())))
    dataset = nncf.Dataset(list(range(count)), lambda index: row(ranges, index))
    attends = any(op.get_type_name() == "Softmax" for op in model.get_ops())
    kind = nncf.ModelType.TRANSFORMER if attends else None
    made = nncf.quantize(model, dataset, subset_size=count, model_type=kind)
    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(made, "CPU", settings).create_infer_request()
    return lambda feeds: np.array(request.infer(dict(feeds))[0])


def row(feeds: Mapping[str, np.ndarray], index: int) -> dict[str, np.ndarray]:
    return {name: array[index : index + 1] for name, array in feeds.items()}


def ms(call: Callable[[], object]) -> float:
    """Milliseconds of two calls, halved."""
    begin_ns = time.perf_counter_ns()
    call()
    call()
    return (time.perf_counter_ns() - begin_ns) / 2e6


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
