"""Machines to be examined: a root of files, a folder of packages, and faults put into them."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmedge.doctor import Finding, Place, Report, examine

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
# linux/prctl.h, linux/capability.h
_PR_CAPBSET_DROP, _DAC_OVERRIDE, _DAC_READ_SEARCH = 24, 1, 2

EXAMINE = """
import json, sys
from pathlib import Path
from mmedge.doctor import Place, examine
told = json.loads(sys.argv[1])
place = Place(root=Path(told["root"]), path=tuple(told["path"]), cache=Path(told["cache"]),
              key_file=Path(told["key_file"]), environment=told["environment"])
print(json.dumps(examine(place).to_json()))
"""


@dataclass
class Seeded:
    """A machine in a folder: its files, its packages, its environment."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    also: tuple[str, ...] = (str(ROOT),)
    venv: str = "/opt/venv"

    def __post_init__(self) -> None:
        for each in (self.root, self.packages, self.cache):
            each.mkdir()

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def packages(self) -> Path:
        return self.folder / "packages"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def place(self) -> Place:
        environment = {"HOME": str(self.folder / "home"), "PATH": os.defpath, **self.environment}
        path = (str(self.packages), *self.also)
        return Place(
            root=self.root,
            path=path,
            venv=self.venv,
            cache=self.cache,
            key_file=self.folder / "state" / "engine.key",
            environment=environment,
        )

    def file(self, name: str, text: str = "") -> Path:
        """Put a file below the root."""
        return self._write(self.root / name, text)

    def module(self, name: str, text: str = "") -> Path:
        """Put a Python module among the packages."""
        return self._write(self.packages / name, text)

    def package(self, name: str, version: str, *requires: str) -> None:
        """Put a package's metadata where pip would."""
        lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {r}" for r in requires)]
        folder = f"{name.replace('-', '_')}-{version}.dist-info"
        self._write(
            self.packages / folder / "METADATA", "\n".join(["Metadata-Version: 2.1", *lines])
        )

    def debian(self, **versions: str) -> None:
        """Say what apt installed."""
        stanzas = [
            f"Package: {name.replace('_', '-')}\nStatus: install ok installed\nVersion: {version}\n"
            for name, version in versions.items()
        ]
        self.file("var/lib/dpkg/status", "\n".join(stanzas))

    def jetson(self) -> None:
        """Make it an Orin Nano with JetPack 6.2, as its files show it."""
        self.file(
            "etc/nv_tegra_release",
            "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n",
        )
        self.file("proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit Super\0")
        self.debian(
            nvidia_jetpack="6.2+b77", libnvinfer10="10.3.0.30-1+cuda12.5", libportaudio2="19.6.0"
        )

    def examine(self) -> Report:
        return examine(self.place)

    def examine_unprivileged(self) -> list[dict[str, Any]]:
        """Examine it as somebody whom permissions concern; gives the findings as JSON."""
        place = self.place
        told = {
            "root": str(place.root),
            "path": place.path,
            "cache": str(place.cache),
            "key_file": str(place.key_file),
            "environment": dict(place.environment),
        }
        done = subprocess.run(
            [sys.executable, "-c", EXAMINE, json.dumps(told)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            preexec_fn=_lower_root,
        )
        findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
        return findings

    @staticmethod
    def _write(path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


def _lower_root() -> None:
    """Let permissions hold for root as well, after the next exec."""
    if os.geteuid() == 0:
        for capability in (_DAC_OVERRIDE, _DAC_READ_SEARCH):
            assert ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0


def named(report: Report, name: str) -> Finding:
    """Give the one finding of that name."""
    found = [each for each in report.findings if each.name == name]
    assert len(found) == 1, [each.name for each in report.findings]
    return found[0]


def names(report: Report) -> list[str]:
    return [each.name for each in report.findings]
