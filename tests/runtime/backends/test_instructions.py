"""What a CPU has, read from what Linux says of it; excerpts of real machines."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from mmedge.runtime.backends.instructions import Cpu, lacking, read_cpu, this_cpu

ZEN_3 = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 33
model name\t: AMD Ryzen 9 5950X 16-Core Processor
flags\t\t: fpu vme de pse sse sse2 ht ssse3 fma cx16 sse4_1 sse4_2 avx f16c rdrand avx2 smep bmi2 \
erms sha_ni xsaveopt umip pku ospke vaes vpclmulqdq rdpid overflow_recov succor smca

processor\t: 1
model name\t: another
flags\t\t: avx512_vnni
"""
ZEN_5 = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 26
model\t\t: 2
model name\t: AMD EPYC
flags\t\t: fpu vme sse sse2 avx f16c avx2 bmi2 avx512f avx512dq avx512bw avx512vl avx_vnni \
avx512_bf16 avx512vbmi gfni avx512_vnni avx512_bitalg
"""
ORIN = """\
processor\t: 0
model name\t: ARMv8 Processor rev 1 (v8l)
BogoMIPS\t: 62.50
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc \
dcpop asimddp uscat ilrcpc flagm paca pacg
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd42
CPU revision\t: 1
"""
PI_4 = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU part\t: 0xd08
"""


@pytest.mark.parametrize(
    ("text", "architecture", "name", "instructions"),
    [
        (ZEN_3, "x86_64", "AMD Ryzen 9 5950X 16-Core Processor (family 25, model 33)", {"avx2"}),
        (
            ZEN_5,
            "x86_64",
            "AMD EPYC (family 26, model 2)",
            {"avx2", "avx512_vnni", "avx_vnni"},
        ),
        (ORIN, "aarch64", "ARM implementer 0x41, part 0xd42", {"dotprod"}),
        (PI_4, "aarch64", "ARM implementer 0x41, part 0xd08", set()),
    ],
)
def test_the_first_processor_tells_its_model_and_what_it_has(
    text: str, architecture: str, name: str, instructions: set[str]
) -> None:
    cpu = read_cpu(text, architecture)
    assert (cpu.name, cpu.architecture, cpu.instructions) == (name, architecture, instructions)


def test_where_nothing_is_said_nothing_is_known_to_be_there() -> None:
    cpu = read_cpu("", "AMD64")
    assert cpu.instructions == frozenset()
    assert cpu.name


@pytest.mark.parametrize(
    ("text", "architecture", "missing"),
    [
        (ZEN_3, "x86_64", ("vnni",)),
        (ZEN_5, "x86_64", ()),
        ("flags : avx2 avx_vnni", "x86_64", ()),
        ("", "AMD64", ("vnni",)),
        # Its kernels add in 32 bits, dot products or not.
        (ORIN, "aarch64", ()),
        (PI_4, "aarch64", ()),
        ("", "arm64", ()),
    ],
)
def test_vnni_is_there_where_sums_cannot_saturate(
    text: str, architecture: str, missing: tuple[str, ...]
) -> None:
    cpu = read_cpu(text, architecture)
    assert lacking(("vnni",), cpu) == missing
    assert lacking((), cpu) == ()
    assert lacking(("vnni", "tensor_cores"), cpu) == (*missing, "tensor_cores")


def test_this_machine_is_read_where_linux_tells() -> None:
    cpu = this_cpu()
    assert isinstance(cpu, Cpu)
    assert cpu.architecture == platform.machine()
    text = Path("/proc/cpuinfo")
    if text.exists() and cpu.architecture == "x86_64":
        assert ("avx2" in cpu.instructions) == (" avx2 " in text.read_text(encoding="utf-8"))
