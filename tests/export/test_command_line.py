"""``mmedge export`` as a user runs it: exit codes, one message on stderr, no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tests.export.recipes import Flat, Head, listing  # noqa: E402

pytestmark = pytest.mark.torch

ROOT = Path(__file__).resolve().parents[2]
RECIPES = f"""
import sys
sys.path.append({str(ROOT)!r})
from tests.export import test_refused
from tests.export.recipes import one_picture

def recipe():
    return one_picture()

def lies():
    return one_picture(test_refused.Around(test_refused.Lies()))

def fourier():
    return one_picture(test_refused.Around(test_refused.Fourier()))

def branches():
    return one_picture(test_refused.Around(test_refused.Branches()))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.py").write_text(RECIPES)
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "mmedge", "export", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["model.py:recipes", "-o", "m.mmedge"], 2, "model.py has no function 'recipes'"),
        (["model.py:recipe", "-o", "m.mmedge", "--golden", "mine"], 2, "golden='mine' is neither"),
        (
            ["model.py:recipe", "-o", "m.mmedge", "-w", "cut.safetensors"],
            3,
            "cut.safetensors is not a readable safetensors file",
        ),
        (["model.py:fourier", "-o", "m.mmedge"], 4, "needs the operator DFT, which TensorRT 10.3"),
        (["model.py:branches", "-o", "m.mmedge"], 4, "must not branch on values of tensors"),
        (["model.py:lies", "-o", "m.mmedge"], 7, "parity failed at camera/embedding"),
    ],
)
def test_a_failure_is_one_message_and_an_exit_code(
    folder: Path, arguments: list[str], code: int, message: str
) -> None:
    done = run(folder, *arguments)
    stages, _, error = done.stderr.partition("mmedge: ")
    assert message in error
    assert done.returncode == code
    assert done.stdout == ""
    assert all(line.endswith(" ...") for line in stages.splitlines())
    assert error.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert {name for name in listing(folder) if "__pycache__" not in name} == {
        "model.py",
        "cut.safetensors",
    }


def test_a_bundle_is_made_and_json_is_all_that_stdout_gets(folder: Path) -> None:
    state = {f"encoders.camera.{k}": v for k, v in Flat().state_dict().items()}
    state |= {f"fusion.{k}": v for k, v in Head().state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, folder / "last.pt")
    done = run(folder, "model.py:recipe", "-w", "last.pt", "-o", "guard dog.mmedge", "--json")
    assert (done.returncode, done.stderr.splitlines()) == (
        0,
        [
            f"{stage} ..."
            for stage in (
                "recipe",
                "weights",
                "samples",
                "graph camera",
                "graph fusion",
                "parity",
                "write",
            )
        ],
    )
    answer = json.loads(done.stdout)
    assert answer["bundle"] == "guard dog.mmedge"
    assert answer["parity"]["passed"] is True
    assert answer["parity"]["notes"] == ["last.pt: the weights stand under 'state_dict'"]
    manifest = json.loads((folder / "guard dog.mmedge/manifest.json").read_text())
    assert manifest["name"] == "guard-dog"
