"""The NVIDIA GPU of this machine: its architecture, its name, the versions that shape a kernel, its speed of light."""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from typing import Any

from kernelwright.core.spec import Roofline, Target

FEWER_LANES = {"sm_70": 64, "sm_75": 64, "sm_80": 64}  # float32 lanes of a multiprocessor; all others have 128
CLOCK_HZ, MEMORY_BANDWIDTH = 1.7e9, 1e12  # where Triton, which asks the driver, is not there
CALL_SECONDS = 5e-6  # one launch from Python


def detect() -> Target:
    """The current device, which must be there. `cores` counts its multiprocessors."""
    import torch

    facts = torch.cuda.get_device_properties(torch.cuda.current_device())
    toolchain = (f"torch {version('torch')}", f"CUDA {torch.version.cuda}", *_triton())
    return Target("cuda", f"sm_{facts.major}{facts.minor}", facts.name, toolchain, facts.multi_processor_count)


def roofline(target: Target) -> Roofline:
    """A model of the current device to rank plans by, float32 without tensor cores; a bound on nothing."""
    clock, bandwidth = _speeds()
    return Roofline(target.cores * FEWER_LANES.get(target.arch, 128) * 2 * clock, bandwidth, CALL_SECONDS)


def _speeds() -> tuple[float, float]:
    """Cycles a second of its multiprocessors, bytes a second of its memory, both at most."""
    if not _triton():
        return CLOCK_HZ, MEMORY_BANDWIDTH
    import torch
    from triton.runtime import driver

    active: Any = driver.active
    told = active.utils.get_device_properties(torch.cuda.current_device())
    both_edges = 2 * 1e3 * told["mem_clock_rate"]  # kHz; data moves twice a cycle
    return 1e3 * told["sm_clock_rate"], both_edges * told["mem_bus_width"] / 8


def _triton() -> tuple[str, ...]:
    return (f"triton {version('triton')}",) if importlib.util.find_spec("triton") else ()
