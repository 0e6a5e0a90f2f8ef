"""The command line: exit codes, and what goes to which stream."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmedge import __version__, errors
from mmedge.bundle import save_bundle
from mmedge.cli import COMMANDS
from tests.fakes import linear_bundle

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Let the next command end with this."""

    def end_with(error: BaseException) -> None:
        def fail(path: Path) -> Any:
            raise error

        monkeypatch.setattr("mmedge.bundle.open_bundle", fail)

    return end_with


def process(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "mmedge", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def test_the_version_is_the_packages(mmedge: Run) -> None:
    assert mmedge("--version") == (0, f"{__version__}\n", "")


def test_help_names_every_command(mmedge: Run) -> None:
    code, out, err = mmedge("--help")
    assert (code, err) == (0, "")
    listed = re.findall(r"^│ (\w+) ", out, re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)
    assert {"demo", "export", "inspect", "predict", "verify"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_of_itself(mmedge: Run, command: str) -> None:
    code, out, _ = mmedge(command, "--help")
    assert code == 0
    assert f"Example: mmedge {command}" in " ".join(out.split())


@pytest.mark.parametrize(
    "arguments", [("nosuch",), ("inspect",), ("verify", "x", "--nosuch"), ("export", "r.py:f")]
)
def test_wrong_usage_ends_with_2_and_speaks_on_stderr(mmedge: Run, arguments: Any) -> None:
    code, out, err = mmedge(*arguments)
    assert (code, out) == (2, "")
    assert "Usage: mmedge" in err


@pytest.mark.parametrize("name", errors.__all__)
def test_an_error_of_ours_is_one_message_and_its_code(
    mmedge: Run, broken: Callable[[BaseException], None], name: str
) -> None:
    kind = getattr(errors, name)
    broken(kind("what came; what to do"))
    assert mmedge("inspect", "x") == (kind.exit_code, "", "mmedge: what came; what to do\n")


def test_an_interrupt_ends_with_130(mmedge: Run, broken: Callable[[BaseException], None]) -> None:
    broken(KeyboardInterrupt())
    assert mmedge("inspect", "x") == (130, "", "mmedge: interrupted\n")


def test_a_bug_ends_with_70_and_asks_for_a_report(
    mmedge: Run, broken: Callable[[BaseException], None]
) -> None:
    broken(ZeroDivisionError("by zero"))
    code, out, err = mmedge("inspect", "x")
    assert (code, out) == (70, "")
    assert err == (
        "mmedge: ZeroDivisionError: by zero\nThis is a bug in mmedge. Please report it with "
        "what MMEDGE_TRACEBACK=1 mmedge ... prints.\n"
    )


def test_a_bug_shows_its_traceback_when_asked(
    mmedge: Run, broken: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMEDGE_TRACEBACK", "1")
    broken(ZeroDivisionError("by zero"))
    code, _, err = mmedge("inspect", "x")
    assert code == 70
    assert err.startswith("Traceback (most recent call last):")


def test_an_operating_systems_error_that_nobody_expected_is_a_bug(
    mmedge: Run, broken: Callable[[BaseException], None]
) -> None:
    broken(OSError(errno.EIO, "Input/output error"))
    assert mmedge("inspect", "x")[0] == 70


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_reader_that_has_gone_is_no_error(command: str, options: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as out:
        done = subprocess.run(
            [sys.executable, "-m", "mmedge", command, "mmedge/demo/digits.mmedge", *options],
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr.replace("verify ...\n", "")) == (0, "")


def test_inspect_shows_what_is_in_a_bundle(mmedge: Run, tmp_path: Path) -> None:
    save_bundle(linear_bundle(2), tmp_path / "x.mmedge")
    code, out, err = mmedge("inspect", tmp_path / "x.mmedge")
    assert (code, err) == (0, "")
    for word in ("linear", "ant", "bee", "Sound(", "level", "Regression(", "fp32", "fusion"):
        assert word in out
    assert "golden samples: 3 of seeded" in out
    assert "real clips" not in out


def test_inspect_warns_of_real_clips(mmedge: Run, tmp_path: Path) -> None:
    bundle = linear_bundle(1)
    golden = bundle.manifest.golden.model_copy(update={"source": "clips"})
    manifest = bundle.manifest.model_copy(update={"golden": golden})
    save_bundle(type(bundle).in_memory(manifest, bundle.files), tmp_path / "x.mmedge")
    assert "These are real clips" in mmedge("inspect", tmp_path / "x.mmedge")[1]


def test_inspect_writes_the_manifest_as_json(mmedge: Run, demo_bundle: Path) -> None:
    code, out, err = mmedge("inspect", demo_bundle, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads((demo_bundle / "manifest.json").read_bytes())


def test_verify_shows_every_point(mmedge: Run, demo_bundle: Path) -> None:
    code, out, err = mmedge("verify", demo_bundle)
    assert code == 0
    assert err == "verify ...\n"
    for point in ("camera/front_end", "mic/embedding", "fusion/digit", "end to end/digit"):
        assert point in out
    assert "FAILED" not in out


def test_verify_writes_json_only_to_stdout(mmedge: Run, demo_bundle: Path) -> None:
    code, out, err = mmedge("verify", demo_bundle, "--json")
    report = json.loads(out)
    assert (code, err, report["passed"], report["plan"]) == (0, "verify ...\n", True, "fp32")
    assert len(report["findings"]) > 50


def test_predict_writes_one_line_of_json_per_window(mmedge: Run, demo_bundle: Path) -> None:
    command = ("predict", demo_bundle, "--backend", "cpu", "--text", "even", "--json")
    code, out, err = mmedge(*command)
    assert (code, err) == (0, "")
    (line,) = out.splitlines()
    answer = json.loads(line)
    assert answer["presence"] == {"camera": False, "mic": False, "hint": True}
    assert sum(answer["tasks"]["digit"]["scores"].values()) == pytest.approx(1, abs=1e-4)
    assert len(answer["tasks"]["digit"]["scores"]) == 11


def test_predict_shows_one_line_per_window(mmedge: Run, demo_bundle: Path) -> None:
    code, out, err = mmedge("predict", demo_bundle, "--backend", "cpu", "hint=even")
    assert (code, err) == (0, "")
    assert out.startswith("   0.00 s  digit: ")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "nothing to predict from"),
        (["nowhere.png"], 5, "nowhere.png"),
        (["nose=rose"], 2, "no modality 'nose'"),
        (["--text", "x", "--clips", "c.jsonl"], 2, "--clips names all inputs itself"),
        (["--text", "x", "--plan", "int8"], 2, "the bundle has no plan 'int8'"),
        (["--text", "x", "--backend", "npu"], 2, "there is no backend 'npu'"),
        (["--text", "x", "--downmix", "sum"], 2, "--downmix 'sum' is neither"),
    ],
)
def test_a_prediction_that_cannot_be_made_says_why(
    mmedge: Run, demo_bundle: Path, arguments: list[str], code: int, words: str
) -> None:
    ended, out, err = mmedge("predict", demo_bundle, *arguments)
    assert (ended, out) == (code, "")
    assert err.startswith("mmedge: ")
    assert words in err


def test_a_bundle_that_is_not_there_ends_with_2_and_a_hint(mmedge: Run, tmp_path: Path) -> None:
    for command in ("inspect", "verify", "predict"):
        code, out, err = mmedge(command, tmp_path / "no.mmedge")
        assert (code, out) == (2, "")
        assert "Make one with: mmedge export" in err


def test_the_module_is_the_same_command_and_shows_no_traceback(demo_bundle: Path) -> None:
    assert process("--version").stdout == f"{__version__}\n"
    (demo_bundle / "manifest.json").write_text("{}")
    done = process("inspect", demo_bundle)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("mmedge: manifest.json breaks the schema: ")
    assert "Traceback" not in done.stderr
