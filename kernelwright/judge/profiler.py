"""In a worker: where the calls of a built module spend their time, and what compilers say of its kernels."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from kernelwright.runtime import build

WARM_UPS = 2
SHOWN = 40  # operators, and lines of a compiler's report
REPORTS = ("-fopt-info-vec-optimized", "-fopt-info-vec-missed", "-fverbose-asm", "-S")  # GCC's names
SPILLED = "%sfp"  # what -fverbose-asm writes beside a register that lives in the stack frame


def operators(call: Callable[..., Any], arguments: Sequence[Any], count: int) -> list[dict[str, Any]]:
    """Each operator's own microseconds and times called, for one call of the module; dearest first.

    On a GPU, kernels stand in the place of operators where the profiler may see them.
    """
    for _ in range(WARM_UPS):
        call(*arguments)
    on_device = torch.cuda.is_initialized()
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_device else [])]) as seen:
        for _ in range(count):
            call(*arguments)
        if on_device:
            torch.cuda.synchronize()
    found = seen.key_averages()
    spent = {each.key: (each.count, each.self_device_time_total) for each in found if each.device_type.name == "CUDA"}
    spent = spent or {each.key: (each.count, each.self_cpu_time_total) for each in found}
    dearest = sorted(spent.items(), key=lambda each: -each[1][1])[:SHOWN]
    return [{"name": name[:80], "calls": calls / count, "self_us": us / count} for name, (calls, us) in dearest]


def watch(module: ModuleType) -> None:
    """From here on each C++ function that is called as `library.function(...)` shows as an operator."""
    for library in vars(module).values():
        if isinstance(library, SimpleNamespace):
            for name, function in vars(library).items():
                setattr(library, name, _watched(name, function))


def _watched(name: str, function: Callable[..., None]) -> Callable[..., None]:
    def call(*arguments: Any) -> None:
        with record_function(name):
            function(*arguments)

    return call


def triton_reports(module: ModuleType) -> Iterator[str]:
    """What Triton says of each kernel of the module that has run; an autotuner has it as `fn`."""
    for name, value in vars(module).items():
        kernel = value if hasattr(value, "device_caches") else getattr(value, "fn", None)
        for made, *_ in getattr(kernel, "device_caches", {}).values():
            for compiled in made.values():
                registers = f"{compiled.n_regs} registers a thread, {compiled.n_spills} spilled"
                block = (
                    f"{compiled.metadata.num_warps} warps and {compiled.metadata.shared} bytes of shared memory a block"
                )
                yield f"{name}: {registers}; {block}"


def compiler_reports(source: str) -> list[str]:
    """What GCC says of each C++ text that stands whole in the source: lines of that text, no more than are shown."""
    return [line for text in _cpp_texts(source) for line in _report(text)][: 2 * SHOWN]


def _cpp_texts(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and 'extern "C"' in node.value:
            yield node.value


def _report(text: str) -> list[str]:
    assembly = Path("report.s")
    command = [*build.command(), *REPORTS, "-x", "c++", "-", "-o", str(assembly)]
    done = subprocess.run([part for part in command if part != "-shared"], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        return [f"no report: {done.stderr.strip().splitlines()[0] if done.stderr.strip() else 'the compiler fails'}"]
    lines = list(dict.fromkeys(line for line in done.stderr.splitlines() if line.startswith("<stdin>:")))
    done_well = [line for line in lines if "optimized:" in line]
    missed = [line for line in lines if re.search(r"missed: couldn't vectorize loop|missed:\s+not vectorized", line)]
    return [*done_well[: SHOWN // 2], *missed[: SHOWN // 2], *_spills(assembly.read_text())]


def _spills(assembly: str) -> Iterator[str]:
    """For each function, how many instructions touch a register that was spilled to the stack."""
    function, count = "", 0
    for line in [*assembly.splitlines(), "end:"]:
        if label := re.match(r"([A-Za-z_]\w*(?:\.\w+)*):", line):
            if count:
                yield f"{function}: {count} instructions read or write spilled registers"
            function, count = label[1], 0
        count += SPILLED in line
