"""INT8 on this CPU: latency over float32 and what rounding costs, ours beside other people's.

    python -m benchmarks.bench_int8            # those of `int8_cases` that are here
    python -m benchmarks.bench_int8 minilm     # one of them
    NNCF_PYTHON=~/nncf/bin/python python -m benchmarks.bench_int8   # nncf, openvino, onnxruntime

One thread, medians of interleaved runs on one sample; the error is that of the embedding over
held-out samples. Peer: ``onnxruntime.quantization.quantize_static`` with MinMax on the same
samples, in four forms; of those whose error is at most twice ours (6 dB), the fastest counts,
or of all where none is. Each case says how much slower than that ours may be: no more than noise,
but for ViT-Ti, where ours is. NNCF's model, in OpenVINO, is shown beside them.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from benchmarks import nncf_peer
from benchmarks.int8_cases import CASES, Case, Feeds
from mmedge.bundle import Bundle
from mmedge.calibration.alone import fast_kinds, ratios_alone
from mmedge.calibration.candidate import Candidate, Workshop, int8_share
from mmedge.calibration.lowering import Lowered
from mmedge.calibration.material import prepare_material
from mmedge.runtime.backends.instructions import this_cpu

PAIRS = 21
BATCH = 16
FORMS = {
    "S8 / S8 per channel": (QuantType.QInt8, QuantType.QInt8, True, False),
    "U8 / S8 per channel": (QuantType.QUInt8, QuantType.QInt8, True, False),
    "U8 / 7 bits per channel": (QuantType.QUInt8, QuantType.QInt8, True, True),
    "U8 / U8 per tensor": (QuantType.QUInt8, QuantType.QUInt8, False, False),
}


def batches(feeds: Feeds) -> Iterator[dict[str, np.ndarray]]:
    count = len(next(iter(feeds.values())))
    for begin in range(0, count, BATCH):
        yield {name: array[begin : begin + BATCH] for name, array in feeds.items()}


def session(model: bytes, threads: int = 1) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def ours(case: Case) -> tuple[Lowered, float]:
    """Prepare as `calibrate` does, lower what is fastest; gives its share of products too."""
    material = prepare_material("it", case.model, lambda: batches(case.ranges), "cpu")
    workshop = Workshop(cast("Bundle", None), "cpu", {"it": material})  # no plan is built
    alone = ratios_alone(material.model, material.lowerable, threads=1)
    tried: dict[str, Lowered] = {}
    for index, layers in enumerate(fast_kinds(material.lowerable, alone)):
        lowered = workshop.lower(Candidate(int8={"it": layers}, methods={"it": "min-max"}), "it")
        assert lowered is not None
        tried[str(index)] = lowered
    models = {"float32": case.model, **{name: each.model for name, each in tried.items()}}
    took = latencies(models, case.ranges)
    best = tried[min(tried, key=lambda name: took[name][1])]
    return best, int8_share([material], {"it": best.int8})


class Reader(CalibrationDataReader):
    """The same batches, for ONNX Runtime's calibrator."""

    def __init__(self, feeds: Feeds) -> None:
        self._batches = batches(feeds)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


def theirs(case: Case, form: str, folder: Path) -> bytes:
    activations, weights, per_channel, reduce_range = FORMS[form]
    source, target = folder / "fp32.onnx", folder / "int8.onnx"
    source.write_bytes(case.model)
    kinds = {node.op_type for node in onnx.load_model_from_string(case.model).graph.node}
    quantize_static(
        source,
        target,
        Reader(case.ranges),
        quant_format=QuantFormat.QDQ,
        activation_type=activations,
        weight_type=weights,
        per_channel=per_channel,
        reduce_range=reduce_range,
        # All operators would take the mask of attention for data.
        op_types_to_quantize=["MatMul", "Gemm"] if "Softmax" in kinds else None,
    )
    return target.read_bytes()


def latencies(models: Mapping[str, bytes], feeds: Feeds) -> dict[str, tuple[float, float]]:
    """Model -> median milliseconds, and median of the pairs' ratio to the first."""
    one = {name: array[:1] for name, array in feeds.items()}
    runners = {name: session(model) for name, model in models.items()}
    times: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(PAIRS + 3):
        for name, runner in runners.items():
            begin_ns = time.perf_counter_ns()
            runner.run(None, one)
            runner.run(None, one)
            if turn >= 3:
                times[name].append((time.perf_counter_ns() - begin_ns) / 2e6)
    first = times[next(iter(models))]
    return {
        name: (
            statistics.median(each),
            statistics.median(a / b for a, b in zip(each, first, strict=True)),
        )
        for name, each in times.items()
    }


def embeddings(model: bytes, feeds: Feeds) -> np.ndarray:
    runner = session(model, 2)
    return np.concatenate([runner.run(None, batch)[0] for batch in batches(feeds)])


def decibels(exact: np.ndarray, found: np.ndarray) -> float:
    return float(10 * np.log10(np.square(exact).sum() / np.square(exact - found).sum()))


def bench(name: str) -> None:
    try:
        case = CASES[name]()
    except ModuleNotFoundError as exc:
        print(f"{name}: left out, {exc}")
        return
    lowered, share = ours(case)
    models = {"float32": case.model, "mmedge": lowered.model}
    with tempfile.TemporaryDirectory() as folder:
        models |= {form: theirs(case, form, Path(folder)) for form in FORMS}
    exact = embeddings(case.model, case.held_out)
    errors = {k: decibels(exact, embeddings(m, case.held_out)) for k, m in list(models.items())[1:]}
    took = latencies(models, case.held_out)
    needs = ", ".join(lowered.instructions) or "nothing"
    print(
        f"{name}: {took['float32'][0]:.2f} ms in float32; ours: {share:.0%} in INT8, needs {needs}"
    )
    for key, error in errors.items():
        print(f"  {key:24} {took[key][0]:7.2f} ms  {took[key][1]:.2f}  {error:5.1f} dB")
    show_nncf(case)
    close = [form for form in FORMS if errors[form] > errors["mmedge"] - 6]
    rival, mine = min(close or FORMS, key=lambda form: took[form][1]), took["mmedge"][1]
    both = {rival: models[rival], "mmedge": models["mmedge"]}
    beside = latencies(both, case.held_out)["mmedge"][1]
    print(
        f"  {mine:.2f} of float32, limit {case.limit}; {beside:.2f} of {rival!r}, the fastest of "
        f"{len(close or FORMS)}, limit {case.beside} ({len(close)} within twice our error)"
    )
    assert mine <= case.limit, f"{name}: {mine:.2f} of float32"
    assert beside <= case.beside, f"{name}: {beside:.2f} of ONNX Runtime's"
    assert errors["mmedge"] >= case.least_db, f"{name}: {errors['mmedge']:.1f} dB"


def show_nncf(case: Case) -> None:
    found = nncf_peer.beside(case.model, case.ranges, case.held_out, PAIRS)
    if isinstance(found, str):
        print(f"  NNCF, OpenVINO: not shown, {found}")
    else:
        print(
            f"  {'NNCF, OpenVINO':24} {found['ms']:7.2f} ms  {found['ratio']:.2f}  "
            f"{found['db']:5.1f} dB"
        )


def main() -> None:
    cpu = this_cpu()
    print(f"{cpu.name}: {', '.join(sorted(cpu.instructions))}; ONNX Runtime {ort.__version__}")
    for name in sys.argv[1:] or CASES:
        bench(name)


if __name__ == "__main__":
    main()
