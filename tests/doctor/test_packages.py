from __future__ import annotations

import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from mmedge.doctor.checks.onnxruntime import check_onnxruntime
from mmedge.doctor.looking.gpu import Gpus
from mmedge.doctor.looking.imports import try_imports
from mmedge.doctor.looking.packages import Need, Package, find_packages, read_needs
from mmedge.doctor.machine import Machine
from tests.doctor.seeding import Seeded, named, names


def test_both_onnxruntimes_are_found_with_their_remedy(machine: Seeded) -> None:
    machine.package("onnxruntime", "1.31.1")
    machine.package("onnxruntime-gpu", "1.31.1")
    machine.module(
        "onnxruntime/capi/build_and_package_info.py",
        "package_name = 'onnxruntime'\n__version__ = '1.31.1'\n",
    )
    found = named(machine.examine(), "two-onnxruntimes")
    assert found.severity == "error"
    assert found.remedy == (
        "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime"
    )
    assert found.what == (
        "onnxruntime 1.31.1 and onnxruntime-gpu 1.31.1 are both installed, in one folder: the one "
        "that came last (onnxruntime) has overwritten the other, and removing either breaks both"
    )


def test_of_both_onnxruntimes_a_machine_with_a_gpu_keeps_the_gpus() -> None:
    packages = tuple(
        Package(name=name, version="1.31.1", folder="/site-packages")
        for name in ("onnxruntime", "onnxruntime-gpu")
    )
    found = list(check_onnxruntime(Machine(packages=packages, gpus=Gpus(cuda=(13, 0)))))
    assert found[0].remedy.endswith("&& pip install onnxruntime-gpu")


def test_one_onnxruntime_is_not_two(machine: Seeded) -> None:
    machine.package("onnxruntime", "1.31.1")
    machine.module("onnxruntime/__init__.py", "__version__ = '1.31.1'")
    assert {"two-onnxruntimes", "no-onnxruntime"} & set(names(machine.examine())) == set()


def test_no_onnxruntime_stops_commands(machine: Seeded) -> None:
    found = named(machine.examine(), "no-onnxruntime")
    assert (found.severity, found.remedy) == ("error", "pip install 'mmedge[cpu]'")


def test_two_opencvs_are_found(machine: Seeded) -> None:
    machine.package("opencv-python", "5.0.0.93")
    machine.package("opencv-python-headless", "5.0.0.93")
    found = named(machine.examine(), "two-opencvs")
    assert found.remedy == (
        "pip uninstall -y opencv-python opencv-python-headless "
        "&& pip install opencv-python-headless"
    )


@pytest.mark.skipif(find_spec("sounddevice") is None, reason="needs the package sounddevice")
def test_a_missing_or_broken_libportaudio_is_found(machine: Seeded) -> None:
    # The real package, and in place of the library a file that no loader takes.
    library = machine.folder / "libportaudio.so.2"
    library.write_bytes(b"no library")
    shutil.copy(library, machine.folder / "libportaudio.so")
    machine.environment["LD_LIBRARY_PATH"] = str(machine.folder)
    machine.also += tuple(sys.path)
    found = named(machine.examine(), "no-portaudio")
    assert found.severity == "error"
    assert found.remedy == "sudo apt-get install libportaudio2"


def test_a_package_that_is_broken_is_a_finding(machine: Seeded) -> None:
    machine.package("av", "15.0.0")
    machine.module("av.py", "raise ImportError('libavcodec.so.61: cannot open shared object file')")
    found = named(machine.examine(), "package-broken")
    assert found.severity == "error"
    assert found.what == (
        "'av' cannot be imported: ImportError: libavcodec.so.61: cannot open shared object file"
    )
    assert found.remedy == "pip install --force-reinstall --no-deps 'av==15.0.0'"


def test_a_library_that_the_system_lacks_is_named(machine: Seeded) -> None:
    machine.module("cv2.py", "raise ImportError('libGL.so.1: cannot open shared object file')")
    found = named(machine.examine(), "package-broken")
    assert found.remedy == "sudo apt-get install libgl1"


def test_a_package_compiled_for_an_older_numpy_is_found(machine: Seeded) -> None:
    machine.module("cv2.py", "raise ImportError('numpy.core.multiarray failed to import')")
    assert named(machine.examine(), "numpy-too-new").remedy == "pip install 'numpy<2'"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are Unix's")
def test_a_package_that_crashes_takes_nothing_along(machine: Seeded) -> None:
    machine.module("soxr.py", "import os; os.kill(os.getpid(), 11)")
    found = named(machine.examine(), "package-broken")
    assert "it ends the process that imports it (SIGSEGV)" in found.what


def test_a_package_that_hangs_is_left_alone(machine: Seeded) -> None:
    machine.module("soxr.py", "import time; time.sleep(60)")
    found = try_imports(machine.place, ["soxr"], timeout_s=0.5)
    assert found["soxr"].error == "it hangs when it is imported"


@pytest.mark.skipif(sys.platform == "win32", reason="os.fork is Unix's")
def test_a_package_whose_child_holds_the_pipe_holds_nobody_up(machine: Seeded) -> None:
    machine.module(
        "soxr.py", "import os, time\nif os.fork() == 0: time.sleep(8); os._exit(0)\ntime.sleep(60)"
    )
    begin_s = time.monotonic()
    found = try_imports(machine.place, ["soxr"], timeout_s=0.5)
    assert found["soxr"].error == "it hangs when it is imported"
    assert time.monotonic() - begin_s < 5


def test_what_a_package_prints_disturbs_nothing(machine: Seeded) -> None:
    machine.module("av.py", "print('welcome'); __version__ = '15.1'")
    assert try_imports(machine.place, ["av"])["av"].version == "15.1"


def test_a_package_that_lacks_a_package_of_its_own_is_broken_and_not_missing(
    machine: Seeded,
) -> None:
    machine.module("av.py", "import nosuch")
    found = try_imports(machine.place, ["av"])["av"]
    assert (found.missing, found.works) == (False, False)


def test_what_is_missing_is_a_note_with_what_does_not_work(machine: Seeded) -> None:
    report = machine.examine()
    notes = {each.where: each for each in report.findings if each.name == "package-missing"}
    assert set(notes) == {"av", "cv2", "sounddevice", "soxr", "tokenizers"}
    assert {each.severity for each in notes.values()} == {"note"}
    assert notes["av"].remedy == "pip install 'mmedge[live]'"
    assert "no microphones (--mic)" in notes["sounddevice"].what


def test_a_version_that_mmedge_does_not_take_is_found(machine: Seeded) -> None:
    machine.package("mmedge", "0.1.0", "numpy<3,>=1.26", 'av>=15; extra == "live"')
    machine.package("numpy", "1.25.2")
    machine.package("av", "14.4.0")
    found = [each for each in machine.examine().findings if each.name == "package-version"]
    assert [(each.severity, each.remedy) for each in found] == [
        ("error", "pip install 'numpy<3,>=1.26'"),
        ("warning", "pip install 'av>=15'"),
    ]


def test_packages_that_do_not_fit_one_another_are_found(machine: Seeded) -> None:
    machine.package("numpy", "1.26.4")
    machine.package(
        "opencv-python-headless",
        "5.0.0.93",
        'numpy<2.0; python_version < "3.9"',
        'numpy>=2; python_version >= "3.9"',
        'numpy>=9; sys_platform == "nosuch"',
        'numpy>=9; extra == "more"',
        "numpy==1.*",
    )
    found = named(machine.examine(), "package-conflict")
    assert found.severity == "warning"
    assert found.what == (
        "opencv-python-headless 5.0.0.93 needs numpy>=2, and numpy 1.26.4 is installed"
    )
    assert found.remedy == "pip install 'numpy>=2'"


def test_needs_are_read_from_metadata(machine: Seeded) -> None:
    machine.package(
        "mmedge",
        "0.1.0",
        "pydantic<3,>=2.7",
        "typing_extensions>=4.10",
        'onnxruntime>=1.20; extra == "cpu"',
        'ruff>=0.12; extra == "dev"',
    )
    assert read_needs([str(machine.packages)]) == (
        Need(name="pydantic", bounds=(("<", "3"), (">=", "2.7"))),
        Need(name="typing-extensions", bounds=((">=", "4.10"),)),
        Need(name="onnxruntime", bounds=((">=", "1.20"),), extra="cpu"),
    )


@pytest.mark.parametrize(
    ("version", "fits"),
    [("1.26", True), ("1.26.0", True), ("2.4.6", True), ("3.0.0rc1", False), ("1.25.9", False)],
)
def test_a_version_fits_its_bounds(version: str, fits: bool) -> None:
    assert Need(name="numpy", bounds=((">=", "1.26"), ("<", "3"))).fits(version) is fits


def test_half_an_installation_is_no_package(machine: Seeded) -> None:
    (machine.packages / "av-15.0.dist-info").mkdir()
    assert find_packages([str(machine.packages)], ["av"]) == ()


def test_of_two_copies_the_first_on_the_path_counts(machine: Seeded, tmp_path: Path) -> None:
    machine.package("numpy", "2.2.6")
    other = Seeded(Path(shutil.copytree(machine.folder, tmp_path / "x")) / "root")
    other.package("numpy", "1.21.5")
    found = find_packages([str(machine.packages), str(other.packages)], ["numpy"])
    assert [each.version for each in found] == ["2.2.6", "1.21.5"]
