"""Our log-mel graph against the same front-end on ONNX Runtime's STFT operator.

One second of sound, with a transform of 400 samples and with two of a power of two, where
STFT has its fast algorithm: ours may take at most 0.45 of the other's time, each time. One
thread; both graphs take turns in one run, so that a busy neighbour slows down both.
"""

from __future__ import annotations

import os
import platform
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper

from mmedge.models.log_mel import LogMelFrontEnd
from mmedge.models.mel import mel_bank, taper
from mmedge.specs import LogMel

LIMIT = 0.45
WARM_UP = 20
REPEATS = 200
# Length of the transform -> front-end, samples per second. The last is CLAP's, nearly.
CASES = {
    "400 at 16 kHz": (LogMel(), 16_000),
    "512 at 16 kHz": (LogMel(fft_size=512), 16_000),
    "1024 at 48 kHz": (LogMel(mels=64, fft_size=1024, hop=480, high_hz=14_000.0), 48_000),
}


def our_graph(spec: LogMel, rate_hz: int) -> onnx.ModelProto:
    """Export the front-end as a bundle would have it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations
        program = torch.onnx.export(
            LogMelFrontEnd(spec, rate_hz).eval(),
            (torch.zeros(2, rate_hz),),
            dynamo=True,
            opset_version=20,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def stft_graph(spec: LogMel, rate_hz: int) -> onnx.ModelProto:
    """Build the same front-end, in natural-log units, around the STFT operator."""
    half, node = spec.fft_size // 2, helper.make_node
    nodes = [
        node("Pad", ["sound", "pads"], ["padded"], mode="reflect"),
        node("Unsqueeze", ["padded", "last"], ["signal"]),
        node("STFT", ["signal", "hop", "taper"], ["parts"], onesided=1),
        node("ReduceSumSquare", ["parts", "last"], ["power"], keepdims=0),
        node("MatMul", ["power", "bank"], ["bands"]),
        node("Max", ["bands", "floor"], ["lifted"]),
        node("Log", ["lifted"], ["logs"]),
        node("Transpose", ["logs"], ["mel"], perm=[0, 2, 1]),
    ]
    constants = {
        "pads": np.array([0, half, 0, half]),
        "last": np.array([-1]),
        "hop": np.array(spec.hop),
        "taper": taper(spec).astype(np.float32),
        "bank": mel_bank(spec, rate_hz).T.astype(np.float32),
        "floor": np.array(spec.floor, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "stft",
        [helper.make_tensor_value_info("sound", TensorProto.FLOAT, ["batch", rate_hz])],
        [helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["batch", spec.mels, None])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def exact(spec: LogMel, rate_hz: int, sound: np.ndarray) -> np.ndarray:
    """The spectrogram in float64."""
    window = torch.from_numpy(taper(spec))
    parts = torch.stft(
        torch.from_numpy(sound).double(),
        spec.fft_size,
        spec.hop,
        window=window,
        return_complex=True,
    )
    bands = mel_bank(spec, rate_hz) @ (parts.abs() ** 2).numpy()
    return np.asarray(np.log(np.maximum(bands, spec.floor)))


def open_session(model: onnx.ModelProto) -> Any:
    """A session on one thread of the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def medians_ms(sessions: list[Any], sound: np.ndarray) -> list[float]:
    """Median time of each, taking turns."""
    times_ns = np.zeros((WARM_UP + REPEATS, len(sessions)), np.int64)
    for row in times_ns:
        for column, session in enumerate(sessions):
            feeds = {session.get_inputs()[0].name: sound}
            begin_ns = time.perf_counter_ns()
            session.run(None, feeds)
            row[column] = time.perf_counter_ns() - begin_ns
    return [float(v) for v in np.median(times_ns[WARM_UP:], axis=0) / 1e6]


def compare(case: str) -> float:
    """Measure one case, print it, give our part of the other's time."""
    spec, rate_hz = CASES[case]
    sound = 0.1 * np.random.default_rng(0).standard_normal((1, rate_hz)).astype(np.float32)
    sessions = [open_session(graph(spec, rate_hz)) for graph in (our_graph, stft_graph)]
    expected = exact(spec, rate_hz, sound)
    ours_error, theirs_error = (
        float(np.abs(s.run(None, {s.get_inputs()[0].name: sound})[0] - expected).max())
        for s in sessions
    )
    ours_ms, theirs_ms = medians_ms(sessions, sound)
    print(
        f"fft_size {case:14} ours {ours_ms:6.3f} ms (off by {ours_error:.0e}), "
        f"STFT {theirs_ms:6.3f} ms (off by {theirs_error:.0e}), ratio {ours_ms / theirs_ms:.2f}"
    )
    return ours_ms / theirs_ms


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> int:
    """Measure, print, compare with the limit."""
    print(
        f"log-mel of 1 s of noise, medians of {REPEATS}, one thread; {processor()}, "
        f"{os.cpu_count()} cores, onnxruntime {ort.__version__}, torch {torch.__version__}"
    )
    slow = [case for case in CASES if compare(case) > LIMIT]
    for case in slow:
        print(f"fft_size {case}: too slow, the limit is {LIMIT} of STFT's time", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
