"""``mmedge calibrate`` that is ended or hindered: nothing is left behind, the bundle is as before.

In processes of their own, for signals and disks are theirs.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import filelock
import pytest

from mmedge.bundle import open_bundle
from tests.calibration.pairs import write_pairs

ROOT = Path(__file__).resolve().parents[1]
MODULE = [sys.executable, "-m", "mmedge"]
QUICK = ["--target", "tensorrt", "--precision", "fp16", "--max-drop", "20"]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and mounts of POSIX")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "few.jsonl", 99)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where temporary files go."""
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def content(bundle: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in bundle.iterdir() if each.name != ".lock"}


def environment(scratch: Path) -> Mapping[str, str]:
    return {**os.environ, "TMPDIR": str(scratch), "OMP_NUM_THREADS": "1"}


def stages(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stderr is not None
    yield from process.stderr


# SIGTERM at every stage; Ctrl-C at two, and at every one in `test_calibrate.py`.
@pytest.mark.parametrize(
    ("at", "ending"),
    [
        ("samples", (signal.SIGINT, 130)),
        ("samples", (signal.SIGTERM, -15)),
        ("ranges of 'mic'", (signal.SIGTERM, -15)),
        ("cost, each alone", (signal.SIGINT, 130)),
        ("cost, each alone", (signal.SIGTERM, -15)),
        ("no decision", (signal.SIGTERM, -15)),
    ],
)
def test_a_signal_leaves_the_bundle_as_it_was_and_no_temporary_files(
    demo_bundle: Path, data: Path, scratch: Path, at: str, ending: tuple[int, int]
) -> None:
    number, code = ending
    before = content(demo_bundle)
    command = [*MODULE, "calibrate", str(demo_bundle), "--data", str(data), *QUICK]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment(scratch)
    ) as process:
        lines = stages(process)
        assert any(at in line for line in lines)
        process.send_signal(number)
        rest = "".join(lines)
        assert process.wait(60) == code
    assert ("mmedge: interrupted" in rest) == (number == signal.SIGINT)
    assert "Traceback" not in rest
    assert content(demo_bundle) == before
    assert list(scratch.glob("mmedge-*")) == []


def test_only_one_may_calibrate_a_bundle_at_a_time(
    demo_bundle: Path, data: Path, scratch: Path
) -> None:
    before = content(demo_bundle)
    with filelock.FileLock(demo_bundle / ".lock"):
        ended = subprocess.run(
            [*MODULE, "calibrate", str(demo_bundle), "--data", str(data), *QUICK],
            capture_output=True, text=True, cwd=ROOT, env=environment(scratch), check=False,
        )  # fmt: skip
    assert ended.returncode == 2
    assert "another process is writing" in ended.stderr
    assert "samples" not in ended.stderr
    assert content(demo_bundle) == before


MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'


def on_a_small_disk(disk: Path, size: str, *command: str) -> list[str]:
    """A command that sees an empty disk of some size at a folder, which only it sees."""
    return ["unshare", "-Urm", "sh", "-c", MOUNT, "sh", size, str(disk), *command]


def no_small_disks() -> bool:
    if shutil.which("unshare") is None:
        return True
    tried = on_a_small_disk(Path("/mnt"), "1m", "true")
    return subprocess.run(tried, capture_output=True, check=False).returncode != 0


@pytest.mark.skipif(no_small_disks(), reason="this system mounts nothing for us")
@pytest.mark.parametrize("size", ["40k", "1m"])
def test_a_full_disk_for_temporary_files_ends_with_6(
    demo_bundle: Path, data: Path, scratch: Path, size: str
) -> None:
    before = content(demo_bundle)
    command = [*MODULE, "calibrate", str(demo_bundle), "--data", str(data), *QUICK]
    ended = subprocess.run(
        on_a_small_disk(scratch, size, *command),
        capture_output=True, text=True, cwd=ROOT, env=environment(scratch), check=False,
    )  # fmt: skip
    assert ended.returncode == 6, ended.stderr
    assert "TMPDIR" in ended.stderr
    assert content(demo_bundle) == before


@pytest.mark.skipif(no_small_disks(), reason="this system mounts nothing for us")
def test_a_full_disk_for_the_bundle_ends_with_6_and_leaves_it_whole(
    demo_bundle: Path, data: Path, scratch: Path, tmp_path: Path
) -> None:
    before, out, disk = content(demo_bundle), tmp_path / "after.mmedge", tmp_path / "disk"
    disk.mkdir()
    size = sum(map(len, before.values())) + 200_000
    script = (
        f"mkdir {disk}/x.mmedge; cp -r {demo_bundle}/. {disk}/x.mmedge; "
        f"{' '.join(MODULE)} calibrate {disk}/x.mmedge --data {data} {' '.join(QUICK)}; code=$?; "
        f"cp -r {disk}/x.mmedge {out}; exit $code"
    )
    ended = subprocess.run(
        on_a_small_disk(disk, str(size), "sh", "-c", script),
        capture_output=True, text=True, cwd=ROOT, env=environment(scratch), check=False,
    )  # fmt: skip
    assert ended.returncode == 6, ended.stderr
    assert "cannot be written: No space left on device" in ended.stderr
    assert content(out) == before
    open_bundle(out).check()
