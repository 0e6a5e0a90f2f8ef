from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmedge.bundle import open_bundle
from mmedge.doctor import Finding, examination
from mmedge.doctor.checks.bundle import check_bundle
from mmedge.doctor.examination import judge
from mmedge.doctor.finding import Report
from mmedge.doctor.looking.imports import Imported
from mmedge.doctor.machine import Machine
from tests.doctor.seeding import ROOT, Seeded, names


def finding(name: str, severity: str) -> Finding:
    return Finding(name=name, severity=severity, what="w", remedy="r")  # type: ignore[arg-type]


def test_the_gravest_finding_comes_first() -> None:
    report = Report(
        machine={},
        findings=(finding("a", "note"), finding("b", "error"), finding("c", "warning")),
    )
    assert [each.name for each in report.findings] == ["b", "c", "a"]
    assert [each.name for each in report.stops] == ["b"]


def test_a_check_that_fails_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_this(machine: Machine) -> Iterator[Finding]:
        yield finding("first", "note")
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(examination, "CHECKS", (check_this, lambda _: [finding("last", "note")]))
    found = list(judge(Machine()))
    assert [each.name for each in found] == ["first", "not-looked-at", "last"]
    assert "check_this: ZeroDivisionError: by zero" in found[1].what


def test_what_cannot_be_looked_at_is_said(machine: Seeded) -> None:
    class Unreadable(dict[str, str]):
        def get(self, name: str, default: object = None) -> str:  # type: ignore[override]
            if name == "TMPDIR":
                raise OSError("no such thing")
            return super().get(name, "")

    place = machine.place
    object.__setattr__(place, "environment", Unreadable(place.environment))
    report = examination.examine(place)
    assert "not-looked-at" in names(report)
    assert "no-onnxruntime" in names(report)


def test_a_machine_with_all_that_is_needed_has_nothing_that_stops(machine: Seeded) -> None:
    for module in ("numpy", "PIL", "cv2", "onnxruntime", "sounddevice", "soxr", "av", "tokenizers"):
        machine.module(f"{module}.py", "def getBuildInformation(): return 'GStreamer: NO'")
    report = machine.examine()
    assert report.stops == ()


def test_a_bundle_whose_modalities_need_a_package_is_found(demo_bundle: Path) -> None:
    missing = Imported(missing=True)
    imports = dict.fromkeys(("tokenizers", "sounddevice", "soxr", "cv2"), missing)
    machine = Machine(bundle=open_bundle(demo_bundle), imports=imports)
    found = [each for each in check_bundle(machine) if each.name == "bundle-needs-package"]
    assert {each.where: each.severity for each in found} == {
        "tokenizers": "error",
        "sounddevice": "warning",
        "soxr": "warning",
        "cv2": "warning",  # the demo's filter is Pillow's
    }
    (text,) = [each for each in found if each.where == "tokenizers"]
    assert text.what == (
        "digits takes 'hint' (text), and without the package 'tokenizers' nothing here can read "
        "a text"
    )
    assert text.remedy == "pip install 'mmedge[text]'"


def test_a_plan_for_tensorrt_on_a_machine_without_one_is_found(demo_bundle: Path) -> None:
    bundle = open_bundle(demo_bundle)
    plans = {
        "fp32": bundle.manifest.plans["fp32"],
        "int8-trt": bundle.manifest.plans["fp32"].model_copy(update={"target": "tensorrt"}),
        "int8-cpu": bundle.manifest.plans["fp32"].model_copy(
            update={"target": "cpu", "instructions": ("no_such_instruction",)}
        ),
    }
    manifest = bundle.manifest.model_copy(update={"plans": plans})
    changed = type(bundle)(manifest, bundle.files, bundle.path, bundle.digest)
    found = {each.where: each for each in check_bundle(Machine(bundle=changed))}
    assert found["int8-trt"].name == "plan-needs-tensorrt"
    assert found["int8-cpu"].name == "plan-needs-instructions"
    assert "no_such_instruction" in found["int8-cpu"].what
    assert "fp32" not in found


@pytest.mark.parametrize(
    ("broken", "command"),
    [
        (("numpy", "PIL"), ("-m", "mmedge", "doctor", "--json")),
        # typer, which reads the command line, stands on pydantic itself.
        (
            ("numpy", "PIL", "pydantic"),
            ("-c", "import json, mmedge.doctor as d; print(json.dumps(d.examine().to_json()))"),
        ),
    ],
)
def test_whatever_is_broken_the_rest_is_found(
    tmp_path: Path, broken: tuple[str, ...], command: tuple[str, ...]
) -> None:
    for name in broken:
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is broken')")
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout)
    found = {each["what"] for each in report["findings"] if each["name"] == "package-broken"}
    for module in ("numpy", "PIL"):
        assert f"'{module}' cannot be imported: ImportError: {module} is broken" in found
    assert "memory" in report["machine"]
