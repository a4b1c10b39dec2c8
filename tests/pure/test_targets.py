"""What a machine says of itself becomes a target."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kernelwright import targets
from kernelwright.core.errors import MachineError, UsageError
from kernelwright.targets import cpu

CPUINFO = """\
processor\t: 0
model name\t: A Processor @ 3.00GHz
flags\t\t: fpu sse2 fma avx2

processor\t: 1
model name\t: Another
flags\t\t: fpu
"""


def test_the_first_processor_speaks_for_all() -> None:
    facts = cpu.parse_cpuinfo(CPUINFO)
    assert facts["model name"] == "A Processor @ 3.00GHz"
    assert cpu.architecture("x86_64", frozenset(facts["flags"].split())) == "avx2"


@pytest.mark.parametrize(
    ("machine", "flags", "arch"),
    [
        ("x86_64", "avx512f avx512dq avx512bw avx512vl avx2 fma", "avx512"),
        ("x86_64", "avx512f avx2 fma", "avx2"),
        ("x86_64", "avx2", "portable"),
        ("x86_64", "", "portable"),
        ("aarch64", "asimd", "neon"),
        ("arm64", "", "neon"),
        ("riscv64", "", "portable"),
    ],
)
def test_the_widest_instruction_set_is_chosen(machine: str, flags: str, arch: str) -> None:
    assert cpu.architecture(machine, frozenset(flags.split())) == arch


def test_an_unknown_backend_lists_the_known() -> None:
    with pytest.raises(UsageError, match="backend 'mteal' is not known; known: cpu, cuda, mps"):
        targets.detect("mteal")


def test_a_missing_compiler_says_what_was_looked_for_and_what_to_install() -> None:
    with pytest.raises(MachineError, match=r"no-such-compiler.*install"):
        cpu.find_compiler("no-such-compiler")


def test_a_machine_without_a_compiler_is_still_a_target() -> None:
    found = targets.detect("cpu", "no-such-compiler")
    assert [entry.split()[0] for entry in found.toolchain] == ["torch"]
    assert found.cores >= 1


def test_more_cores_and_wider_units_raise_the_roof() -> None:
    one = replace(targets.detect("cpu", "no-such-compiler"), arch="avx2", cores=1)
    two, wide = replace(one, cores=2), replace(one, arch="avx512")
    assert cpu.roofline(two).flops == 2 * cpu.roofline(one).flops == cpu.roofline(wide).flops
    assert cpu.roofline(two).bandwidth > cpu.roofline(one).bandwidth
