"""``mmedge doctor``: exit codes, JSON, and that it leaves no trace."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mmedge.doctor import Finding, Report

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).resolve().parents[1]
ERROR = Finding(name="no-driver", severity="error", what="there is none", remedy="sudo it")
WARNING = Finding(name="power-mode", severity="warning", what="slow [15W]", remedy="nvpmodel -m 2")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the machine have these findings."""

    def have(*findings: Finding) -> None:
        monkeypatch.setattr(
            "mmedge.doctor.examine",
            lambda bundle: Report(machine={"python": "3.10.12"}, findings=findings),
        )

    return have


def test_a_warning_is_shown_with_its_remedy_and_ends_with_0(
    mmedge: Run, found: Callable[..., None]
) -> None:
    found(WARNING)
    assert mmedge("doctor") == (
        0,
        "python  3.10.12\n\nwarning: power-mode: slow [15W]\n    nvpmodel -m 2\n",
        "",
    )


def test_what_would_stop_a_command_ends_with_4(mmedge: Run, found: Callable[..., None]) -> None:
    found(WARNING, ERROR)
    code, out, err = mmedge("doctor", "--json")
    assert code == 4
    assert err == "mmedge: no-driver: a command would stop; each has its remedy above\n"
    assert [each["name"] for each in json.loads(out)["findings"]] == ["no-driver", "power-mode"]


def test_a_machine_that_is_well_is_told_so(mmedge: Run, found: Callable[..., None]) -> None:
    found()
    assert mmedge("doctor") == (0, "python  3.10.12\n\nnothing is wrong\n", "")


def test_it_examines_this_machine_for_a_bundle_and_leaves_no_trace(
    demo_bundle: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "mmedge", "doctor", demo_bundle, "--json"],
        cwd=ROOT,
        env={**os.environ, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    report = json.loads(done.stdout)
    grave = [each for each in report["findings"] if each["severity"] == "error"]
    assert done.returncode == (4 if grave else 0)
    assert "onnxruntime" in report["machine"]
    assert all(each["what"] and each["remedy"] for each in report["findings"])
    assert list(home.iterdir()) == []


def test_a_bundle_that_is_not_there_is_the_users_mistake(mmedge: Run) -> None:
    code, out, err = mmedge("doctor", "nosuch.mmedge")
    assert (code, out) == (2, "")
    assert "there is no bundle at nosuch.mmedge" in err


def given_names(source: str) -> set[str]:
    """Names of findings in a module: ``Finding(name=...)``, and what is handed on as one."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            within = [each.value for each in node.keywords if each.arg == "name"]
            within += node.args[:1] if ast.unparse(node.func) == "_refused" else []
        elif isinstance(node, ast.Assign):
            within = [node.value] if re.match(r"\W*name\b", ast.unparse(node.targets[0])) else []
        else:
            continue
        parts = [part for each in within for part in ast.walk(each)]
        texts = {part.value for part in parts if isinstance(part, ast.Constant)}
        found |= {text for text in texts if re.fullmatch(r"[a-z]+(-[a-z]+)+", str(text))}
    return {str(text) for text in found}


def test_every_finding_is_explained() -> None:
    """`docs/doctor.md` has a line for each, and for nothing else."""
    sources = sorted((ROOT / "mmedge" / "doctor").rglob("*.py"))
    given = set().union(*(given_names(file.read_text(encoding="utf-8")) for file in sources))
    page = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)
    assert len(given) > 20
    assert sorted(given) == explained
