"""Python and the packages whose builds matter: OpenCV and ONNX Runtime."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmedge.doctor.place import Place

__all__ = ["Software", "look_at_software"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """What the packages' metadata do not tell.

    Attributes:
        python: version of the interpreter that runs: ``(3, 10, 12)``.
        system_python: version of the system's own: ``(3, 10)``; empty where there is none.
        isolated: this environment does not see the system's packages.
        venv: folder of the virtual environment; empty for a Python without one.
        container: this is a container.
        distribution: of Linux, such as ``debian`` or ``ubuntu``.
        system_cv2: folder of the OpenCV that the system brings; empty where there is none.
        system_tensorrt: folder of the TensorRT bindings that the system brings.
        onnxruntime: the package that the files of ONNX Runtime were written by last.
        built_for_cuda: which CUDA the installed ONNX Runtime was built for; empty for none.
        built_for_tensorrt: first number of the TensorRT that it loads; 0 for none.
    """

    python: tuple[int, ...] = sys.version_info[:3]
    system_python: tuple[int, ...] = ()
    isolated: bool = False
    venv: str = ""
    container: bool = False
    distribution: str = ""
    system_cv2: str = ""
    system_tensorrt: str = ""
    onnxruntime: str = ""
    built_for_cuda: tuple[int, ...] = ()
    built_for_tensorrt: int = 0

    @property
    def opening(self) -> str:
        """The command that lets this environment, or a new one, see the system's packages."""
        if not self.venv:
            return "/usr/bin/python3 -m venv --system-site-packages ~/mmedge"
        return f"{self.venv}/bin/python -m venv --upgrade --system-site-packages {self.venv}"


def look_at_software(place: Place) -> Software:
    """Read what lies on the disk; nothing is imported."""
    system_python = _system_python(place)
    folders = tuple(_system_folders(place, system_python))
    built = _build_of_onnxruntime(place)
    written_by = re.search(r"package_name\s*=\s*['\"]([\w-]+)", built)
    cuda = re.search(r"cuda_version\s*=\s*['\"](\d+)(?:\.(\d+))?", built)
    distribution = re.search(r"^ID=\"?([\w.-]+)", place.read("etc/os-release"), re.MULTILINE)
    return Software(
        system_python=system_python,
        isolated=not {str(folder) for folder in folders} & set(place.path),
        venv=place.venv,
        container=any(place.found(".dockerenv", "run/.containerenv")),
        distribution=distribution[1] if distribution else "",
        system_cv2=_holding(folders, "cv2", "cv2.*.so", "cv2/__init__.py"),
        system_tensorrt=_holding(folders, "tensorrt", "tensorrt/__init__.py"),
        onnxruntime=written_by[1] if written_by else "",
        built_for_cuda=tuple(int(part) for part in cuda.groups() if part) if cuda else (),
        built_for_tensorrt=_tensorrt_of_onnxruntime(place),
    )


def _system_python(place: Place) -> tuple[int, ...]:
    """Tell which Python the link ``/usr/bin/python3`` means."""
    try:
        target = (place.root / "usr/bin/python3").readlink().name
    except OSError:
        return ()
    match = re.fullmatch(r"python(\d+)\.(\d+)", target)
    return (int(match[1]), int(match[2])) if match else ()


def _system_folders(place: Place, python: tuple[int, ...]) -> Iterator[Path]:
    version = ".".join(map(str, python or sys.version_info[:2]))
    yield from place.found(
        f"usr/local/lib/python{version}/dist-packages",
        "usr/lib/python3/dist-packages",
        f"usr/lib/python{version}/dist-packages",
    )


def _holding(folders: tuple[Path, ...], name: str, *patterns: str) -> str:
    """Give the folder of a module, or the file that it is."""
    for folder in folders:
        for pattern in patterns:
            for file in sorted(folder.glob(pattern)):
                return str(folder / name if file.parent.name == name else file)
    return ""


def _build_of_onnxruntime(place: Place) -> str:
    """Read what ONNX Runtime's own build wrote beside its library."""
    for folder in place.path:
        file = Path(folder) / "onnxruntime" / "capi" / "build_and_package_info.py"
        try:
            return file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
    return ""


def _tensorrt_of_onnxruntime(place: Place) -> int:
    """Find the library that its TensorRT provider is linked with, by the name in the file."""
    for folder in place.path:
        file = Path(folder) / "onnxruntime" / "capi" / "libonnxruntime_providers_tensorrt.so"
        try:
            match = re.search(rb"libnvinfer\.so\.(\d+)\0", file.read_bytes())
        except OSError:
            continue
        return int(match[1]) if match else 0
    return 0
