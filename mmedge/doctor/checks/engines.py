"""Engines that are kept and cannot be used by the TensorRT that is here."""

from __future__ import annotations

from collections.abc import Iterator

from mmedge.doctor.finding import Finding
from mmedge.doctor.looking.packages import numbers
from mmedge.doctor.machine import Machine

__all__ = ["check_engines"]

_BUILD = "mmedge build BUNDLE"
_WORDS = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}


def check_engines(machine: Machine) -> Iterator[Finding]:
    """Find what no command will use until it is built again, and say why."""
    distrusted = [each for each in machine.engines if each.problem]
    if distrusted:
        yield Finding(
            name="engine-distrusted",
            severity="warning",
            what=f"{_count(len(distrusted))} of the cache will not be used: "
            f"{distrusted[0].problem}",
            remedy=_BUILD,
            where=distrusted[0].file,
        )
    for toolkit, version in sorted({(each.toolkit, each.version) for each in machine.engines}):
        if toolkit:
            yield from _of_another(machine, toolkit, version)


def _of_another(machine: Machine, toolkit: str, version: str) -> Iterator[Finding]:
    here = _installed(machine, toolkit)
    length = min(len(numbers(version)), len(numbers(here)))  # bindings leave out the build
    theirs, ours = numbers(version)[:length], numbers(here)[:length]
    if here and theirs == ours:
        return
    kept = [each for each in machine.engines if (each.toolkit, each.version) == (toolkit, version)]
    newer = bool(here) and theirs > ours
    name = _WORDS.get(toolkit, toolkit)
    yield Finding(
        name="engine-newer" if newer else "engine-older",
        severity="warning" if newer else "note",
        what=f"{_count(len(kept))} of the cache was built by {name} {version}, and here is "
        + (f"{here}: an older one cannot run it" if newer else here or "none")
        + "; nothing uses it, and nothing but 'mmedge build' builds it again",
        remedy=_BUILD,
        where=kept[0].file,
    )


def _installed(machine: Machine, toolkit: str) -> str:
    package = machine.package(toolkit.replace("_", "-"))
    if package is not None:
        return package.version
    return machine.jetson.system_tensorrt if toolkit == "tensorrt" else ""


def _count(number: int) -> str:
    return "1 engine" if number == 1 else f"{number} engines"
