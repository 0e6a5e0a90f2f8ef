"""What starting mmedge loads, watched in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

HEAVY = (
    "av",
    "cv2",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "prometheus_client",
    "sounddevice",
    "soxr",
    "starlette",
    "tensorrt",
    "tensorrt_rtx",
    "tokenizers",
    "torch",
    "uvicorn",
    "websockets",
)

REPORT = f"""
import sys
loaded = sorted(set(sys.modules) & set({HEAVY!r}))
print("heavy:", *loaded, file=sys.stderr)
"""

HELP = """
import runpy, sys
sys.argv = ["mmedge", "--help"]
try:
    runpy.run_module("mmedge", run_name="__main__", alter_sys=True)
except SystemExit as exc:
    if exc.code not in (None, 0):
        raise
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_importing_mmedge_loads_nothing_heavy() -> None:
    done = run("import mmedge\n" + REPORT)
    assert (done.returncode, done.stderr, done.stdout) == (0, "heavy:\n", "")


def test_help_loads_nothing_heavy() -> None:
    done = run(HELP + REPORT)
    assert (done.returncode, done.stderr) == (0, "heavy:\n")
    assert "export" in done.stdout


PREDICT = """
import runpy, sys
sys.argv = ["mmedge", "predict", "mmedge/demo/digits.mmedge", "mmedge/demo/clip.mkv", "--json"]
try:
    runpy.run_module("mmedge", run_name="__main__", alter_sys=True)
except SystemExit as exc:
    if exc.code not in (None, 0):
        raise
"""


SERVE = (
    PREDICT.replace('"predict"', '"serve"')
    .replace('"mmedge/demo/clip.mkv", ', "")
    .replace('"--json"', '"--text", "even", "--for", "0.5", "--json"')
)


def test_serving_loads_no_recorder_and_no_replay() -> None:
    done = run(
        SERVE + "loaded = [n for n in sys.modules if 'record' in n or 'replay' in n]\n"
        "print(sorted(n for n in loaded if n.startswith('mmedge')), file=sys.stderr)"
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert '"label"' in done.stdout


def test_the_live_pipeline_loads_no_readers_of_files() -> None:
    done = run(
        "import sys, mmedge.runtime.pipeline.pipeline, mmedge.runtime.sources.camera\n"
        "readers = ('mmedge.runtime.clips', 'mmedge.specs.hugging_face')\n"
        "print(sorted(n for n in sys.modules if n.startswith(readers)), file=sys.stderr)"
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")


def test_predicting_loads_neither_torch_nor_onnx() -> None:
    done = run(PREDICT + REPORT)
    assert done.returncode == 0
    assert set(done.stderr.split()[1:]) & {"torch", "onnx"} == set()
    assert "onnxruntime" in done.stderr
    assert len(done.stdout.splitlines()) == 51


def test_onnx_runtime_reports_nothing_to_its_makers(tmp_path: Path) -> None:
    code = "from mmedge import Predictor; Predictor.open('mmedge/demo/digits.mmedge').close()"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
    assert list(tmp_path.iterdir()) == []  # where it would keep what it knows the machine by
