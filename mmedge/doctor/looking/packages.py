"""Which packages are installed, where, and in which versions: from their metadata alone."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, DistributionFinder, MetadataPathFinder

__all__ = ["Need", "Package", "find_packages", "read_needs"]

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*\(?([^;)]*)\)?\s*(?:;(.*))?$")
# Not "==1.2.*", which is judged by nobody here.
_BOUND = re.compile(r"(>=|<=|==|!=|<|>)\s*(\d+(?:\.\d+)*)(?![\d.]*\.\*)")
_PYTHON = re.compile(r"python_version\s*(>=|<=|==|!=|<|>)\s*['\"](\d+(?:\.\d+)*)['\"]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What mmedge needs of a package.

    Attributes:
        name: the package's.
        bounds: of its version: ``((">=", "15"),)``.
        extra: which of mmedge's extras brings it; empty for all.
    """

    name: str
    bounds: tuple[tuple[str, str], ...]
    extra: str = ""

    @property
    def range(self) -> str:
        """The bounds as pip writes them."""
        return ",".join(f"{sign}{version}" for sign, version in self.bounds)

    def fits(self, version: str) -> bool:
        """Tell whether a version lies within the bounds."""
        return all(_holds(numbers(version), sign, numbers(bound)) for sign, bound in self.bounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One installed package.

    Attributes:
        name: as package indexes know it, in lower case and with hyphens.
        version: as its metadata says it.
        folder: where it lies.
        needs: what it needs of others, whatever its extras.
    """

    name: str
    version: str
    folder: str
    needs: tuple[Need, ...] = ()

    @property
    def release(self) -> tuple[int, ...]:
        """Numbers of its version: ``(1, 31, 1)``."""
        return numbers(self.version)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def find_packages(path: Sequence[str], names: Iterable[str]) -> tuple[Package, ...]:
    """Find every copy of some packages; of one name, Python imports the first."""
    found = (
        _read(distribution, folder)
        for name in names
        for folder in dict.fromkeys(path)
        for distribution in _distributions(folder, name)
    )
    return tuple(package for package in found if package is not None)


def read_needs(
    path: Sequence[str], skip: Iterable[str] = ("demo", "dev", "train")
) -> tuple[Need, ...]:
    """Read what the installed mmedge needs; empty where it runs without being installed."""
    for folder in path:
        for distribution in _distributions(folder, "mmedge"):
            return tuple(
                need
                for need in _needs(distribution)
                if need.name != "mmedge" and need.extra not in set(skip)
            )
    return ()


def numbers(version: str) -> tuple[int, ...]:
    """Give the leading numbers of a version."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _distributions(folder: str, name: str) -> Iterator[Distribution]:
    context = DistributionFinder.Context(name=name, path=[folder])
    try:
        yield from MetadataPathFinder.find_distributions(context)
    except (OSError, ValueError):
        return


def _read(distribution: Distribution, folder: str) -> Package | None:
    """Describe a package; half an installation has no name or version."""
    try:
        told = distribution.metadata
        if "Name" not in told or "Version" not in told:  # asked for, they would be warned of
            return None
        name, version = told["Name"], told["Version"]
    except (KeyError, OSError, TypeError, ValueError):
        return None
    if not name or not version:
        return None
    return Package(
        name=re.sub(r"[-_.]+", "-", name).lower(),
        version=version,
        folder=folder,
        needs=tuple(need for need in _needs(distribution) if not need.extra),
    )


def _needs(distribution: Distribution) -> Iterator[Need]:
    for line in distribution.requires or ():
        need = _need(line)
        if need is not None:
            yield need


def _need(line: str) -> Need | None:
    """Read a requirement; ``None`` where it is for another Python, or nobody can tell."""
    match = _REQUIREMENT.match(line)
    if match is None:
        return None
    name, bounds, marker = match.group(1), match.group(2), (match.group(3) or "").strip()
    extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
    python = _PYTHON.fullmatch(marker)
    if python and not _holds(sys.version_info[:2], python[1], numbers(python[2])):
        return None
    if marker and not python and not extra:
        return None
    return Need(
        name=re.sub(r"[-_.]+", "-", name).lower(),
        bounds=tuple((sign, version) for sign, version in _BOUND.findall(bounds)),
        extra=extra[1] if extra else "",
    )


def _holds(version: tuple[int, ...], sign: str, bound: tuple[int, ...]) -> bool:
    length = max(len(version), len(bound))
    left = version + (0,) * (length - len(version))
    right = bound + (0,) * (length - len(bound))
    return {
        ">=": left >= right,
        "<=": left <= right,
        "==": left == right,
        "!=": left != right,
        "<": left < right,
        ">": left > right,
    }[sign]
