"""What this machine can do, and what is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from kernelwright import targets
from kernelwright.core.errors import MachineError, StoreError
from kernelwright.settings import Settings
from kernelwright.store import open_store
from kernelwright.targets.cpu import find_compiler

KERNEL = """
#include <cstdio>
int main() {
    float sum = 0.0f;
    #pragma omp parallel for reduction(+ : sum)
    for (int i = 1; i <= 1000; ++i) {
        sum += float(i);
    }
    std::printf("%.0f", sum);
    return sum == 500500.0f ? 0 : 1;
}
"""
GIBIBYTE = 1 << 30
ENOUGH_MEMORY = 4 * GIBIBYTE  # the reference in float64, its inputs, and two workers with PyTorch


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. A note is something to know; only what is missing has to be mended."""

    name: str
    state: Literal["ok", "missing", "note"]
    found: str
    remedy: str = ""


def examine_machine(settings: Settings) -> list[Check]:
    checks = [Check("python", "ok", f"{platform.python_version()} at {sys.executable}")]
    checks += [Check("torch", "ok", version("torch")), processor(), memory()]
    checks += compiler(settings.compiler)
    checks += [device("cuda"), device("mps"), triton(), store(settings.store)]
    return [*checks, sandbox(settings.sandbox, settings.cache)]


def processor() -> Check:
    found = targets.cpu.detect()
    remedy = "kernels use the portable path, about a quarter of AVX2's speed" if found.arch == "portable" else ""
    return Check("processor", "note" if remedy else "ok", f"{found.name}, {found.arch}, {found.cores} core(s)", remedy)


def memory() -> Check:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = f"{total / GIBIBYTE:.1f} GiB"
    if total < ENOUGH_MEMORY:
        return Check("memory", "note", found, f"large modules want {ENOUGH_MEMORY // GIBIBYTE} GiB or more")
    return Check("memory", "ok", found)


def compiler(named: str) -> Iterator[Check]:
    """Is there a compiler, does what it builds run, and does that use several cores."""
    try:
        found = find_compiler(named)
        builds_and_runs(found.path)
    except MachineError as error:
        message, _, remedy = str(error).partition("; ")
        yield Check("compiler", "missing", message, remedy)
        return
    yield Check("compiler", "ok", f"{found.version} at {found.path}; a kernel builds and runs")
    try:
        builds_and_runs(found.path, "-fopenmp")
        yield Check("openmp", "ok", "a parallel kernel builds and runs")
    except MachineError as error:
        yield Check(
            "openmp", "missing", str(error), "install libgomp (GCC) or libomp (Clang); kernels do not build without it"
        )


def builds_and_runs(compiler: str, *flags: str) -> None:
    """Raises MachineError where a ten-line kernel does not."""
    with tempfile.TemporaryDirectory(prefix="kernelwright-doctor-") as folder:
        source, program = Path(folder, "kernel.cpp"), Path(folder, "kernel")
        source.write_text(KERNEL)
        succeeds([compiler, "-O2", *flags, str(source), "-o", str(program)], "does not build a kernel")
        succeeds([str(program)], "builds a kernel that does not run")


def succeeds(command: list[str], otherwise: str) -> None:
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except subprocess.CalledProcessError as error:
        raise MachineError(
            f"it {otherwise}: {error.stderr.strip() or error}; reinstall it, or name another in CXX"
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"it {otherwise}: {error}; reinstall it, or name another in CXX") from error


def device(kind: str) -> Check:
    missing = targets.absence(kind)
    if missing:
        return Check(kind, "note", missing, "not needed: this release writes kernels for cpu")
    return Check(kind, "note", "present", "kernels for it come with a later release")


def triton() -> Check:
    if importlib.util.find_spec("triton"):
        return Check("triton", "ok", version("triton"))
    return Check("triton", "note", "not installed", "only for kernels in Triton: pip install 'kernelwright[triton]'")


def store(path: Path) -> Check:
    try:
        with open_store(path) as opened:
            return Check("store", "ok", f"{path}, {len(opened.records())} task(s)")
    except StoreError as error:
        message, _, remedy = str(error).partition("; ")
        return Check("store", "missing", message, remedy)


def sandbox(wanted: str, cache: Path) -> Check:
    """Which sandbox is active, and what a worker in it could not do when it tried."""
    from kernelwright.judge.processes import Fault
    from kernelwright.judge.proof import prove
    from kernelwright.judge.sandbox import choose

    remedy = "judge only files that you would run yourself, and tell us what 'kernelwright doctor' says"
    try:
        kind = choose(wanted)
    except MachineError as error:
        message, _, mend = str(error).rpartition("; ")
        return Check("sandbox", "missing", message, mend)
    if kind == "none":
        return Check("sandbox", "missing", "switched off", "unset KERNELWRIGHT_SANDBOX, or set it to auto")
    try:
        attempts = prove(kind, cache)
    except (Fault, MachineError) as error:
        return Check("sandbox", "missing", f"{kind}, but a worker in it {error}", remedy)
    could = [attempt.what for attempt in attempts if attempt.succeeded]
    if could:
        return Check("sandbox", "missing", f"{kind}, but a worker in it could {', '.join(could)}", remedy)
    return Check("sandbox", "ok", f"{kind}; a worker tried and could not {', '.join(a.what for a in attempts)}")
