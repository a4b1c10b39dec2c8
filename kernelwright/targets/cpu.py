"""The processor of this machine: its instruction set, its cores, its compiler, its speed of light."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from kernelwright.core.errors import MachineError
from kernelwright.core.spec import Roofline, Target

CPUINFO = Path("/proc/cpuinfo")

NEEDED_FLAGS = {
    "avx512": {"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx2", "fma"},
    "avx2": {"avx2", "fma"},
}

# Single-precision operations a core does in a cycle: units x lanes x 2 for a fused multiply-add.
# avx512: two 512-bit units, as in Zen 5 and Intel's servers. avx2: two of 256 bits. neon: two of 128 bits, which
# Apple's cores double. portable: SSE2's one multiply and one add of 128 bits.
OPERATIONS_PER_CYCLE = {"avx512": 64, "avx2": 32, "neon": 16, "portable": 8}
CLOCK_HZ = 3.5e9  # where the system tells only the base clock, as virtual machines do; servers boost to 3 to 4 GHz
CORE_BANDWIDTH = 20e9  # bytes a second that one core moves from memory: half of what a Zen 5 copies alone (37 GB/s)
MEMORY_BANDWIDTH = 300e9  # what all cores share: twelve channels of DDR5-4800, less a third
CALL_SECONDS = 5e-6  # one kernel through ctypes: 2 us for the call, 1 us for its output, the rest for the module


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C++ compiler of this machine. `version` is the first line it says about itself."""

    path: str
    version: str


def detect(compiler: str = "") -> Target:
    """This machine's processor, as far as this process may use it. A missing compiler shows in the toolchain."""
    try:
        compilers: tuple[str, ...] = (find_compiler(compiler).version,)
    except MachineError:
        compilers = ()
    flags, name = identify()
    arch = architecture(platform.machine(), flags)
    return Target("cpu", arch, name, (*compilers, f"torch {version('torch')}"), usable_cores())


def roofline(target: Target) -> Roofline:
    """A model to rank plans by, from the constants above; a bound on nothing."""
    flops = target.cores * OPERATIONS_PER_CYCLE[target.arch] * (clock() or CLOCK_HZ)
    return Roofline(flops, min(target.cores * CORE_BANDWIDTH, MEMORY_BANDWIDTH), CALL_SECONDS)


def find_compiler(named: str = "") -> Compiler:
    """The compiler that the runtime builds with, where `named` is its name or path, or is empty for the first here."""
    from kernelwright.runtime import build  # imports torch

    try:
        path = build.find_compiler(named)
    except build.CompilerMissing as error:
        raise MachineError(str(error)) from error
    return Compiler(path, said_version(path))


def said_version(path: str) -> str:
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise MachineError(f"the C++ compiler {path} does not run: {error}; name another in CXX") from error
    return answer.stdout.partition("\n")[0].strip()


def architecture(machine: str, flags: frozenset[str]) -> str:
    """The widest instruction set that kernels are written for and this processor has."""
    if machine in ("arm64", "aarch64"):
        return "neon"
    return next((arch for arch, needed in NEEDED_FLAGS.items() if needed <= flags), "portable")


def identify() -> tuple[frozenset[str], str]:
    """The processor's feature flags, in Linux's names, and the name it goes by."""
    if CPUINFO.exists():
        facts = parse_cpuinfo(CPUINFO.read_text())
        name = facts.get("model name") or f"{platform.machine()} part {facts.get('CPU part', 'unknown')}"
        return frozenset(facts.get("flags", "").split()), name
    features = sysctl("machdep.cpu.features") + " " + sysctl("machdep.cpu.leaf7_features")
    return frozenset(features.lower().split()), sysctl("machdep.cpu.brand_string") or platform.machine()


def parse_cpuinfo(text: str) -> Mapping[str, str]:
    """The first processor's entries."""
    first = text.strip().split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def sysctl(name: str) -> str:
    program = shutil.which("sysctl")
    if program is None:
        return ""
    return subprocess.run([program, "-n", name], capture_output=True, text=True, timeout=20, check=False).stdout.strip()


def usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def clock() -> float:
    """The highest clock that the system admits to, in hertz; 0 where it tells none."""
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
    return int(path.read_text()) * 1e3 if path.exists() else 0.0
