"""What this machine's CPU is, and which instructions for INT8 it has."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Cpu", "lacking", "read_cpu", "this_cpu"]

ARM = ("aarch64", "arm64")

# What the kernel calls it -> what we call it (Linux, arch/x86/include/asm/cpufeatures.h and
# "ARM64 ELF hwcaps").
_FLAGS = {
    "avx2": "avx2",
    "avx512_vnni": "avx512_vnni",
    "avx_vnni": "avx_vnni",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """A processor.

    Attributes:
        name: of its model, under which latencies are recorded.
        architecture: as ``platform.machine()`` says it.
        instructions: of ``avx2``, ``avx512_vnni``, ``avx_vnni``, ``dotprod``, ``i8mm``, those
            that are known to be there.
    """

    name: str
    architecture: str
    instructions: frozenset[str]


def read_cpu(cpuinfo: str, architecture: str) -> Cpu:
    """Read what Linux says of the first processor.

    Args:
        cpuinfo: content of ``/proc/cpuinfo``; empty where there is none, and then nothing is
            known to be there.
        architecture: as ``platform.machine()`` says it.
    """
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    return Cpu(
        name=_name(fields) or platform.processor() or architecture,
        architecture=architecture,
        instructions=frozenset(_FLAGS[each] for each in flags if each in _FLAGS),
    )


@cache
def this_cpu() -> Cpu:
    """Give the processor of this machine."""
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return read_cpu(text, platform.machine())


def lacking(required: Iterable[str], cpu: Cpu) -> tuple[str, ...]:
    """Give the instructions of a plan that a CPU has not.

    ``vnni`` stands for sums of 8-bit products in 32 bits. On x86 two instruction sets bring
    them; on 64-bit ARM ONNX Runtime's kernels sum so with and without dot products.
    """
    have = set(cpu.instructions)
    if have & {"avx512_vnni", "avx_vnni"} or cpu.architecture.lower() in ARM:
        have.add("vnni")
    return tuple(each for each in required if each not in have)


def _name(fields: dict[str, str]) -> str:
    """Tell one model from another where the maker's name does not: clouds call many the same."""
    if "model name" in fields and "cpu family" in fields:
        number = f"family {fields['cpu family']}, model {fields.get('model', '?')}"
        return f"{fields['model name']} ({number})"
    if "CPU part" in fields:
        return f"ARM implementer {fields.get('CPU implementer', '?')}, part {fields['CPU part']}"
    return fields.get("model name", "")
