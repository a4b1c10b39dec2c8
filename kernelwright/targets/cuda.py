"""The NVIDIA GPU of this machine: its architecture, its name, the versions that shape a kernel."""

from __future__ import annotations

import importlib.util
from importlib.metadata import version

from kernelwright.core.spec import Target


def detect() -> Target:
    """The current device, which must be there. `cores` counts its multiprocessors."""
    import torch

    facts = torch.cuda.get_device_properties(torch.cuda.current_device())
    toolchain = (f"torch {version('torch')}", f"CUDA {torch.version.cuda}", *_triton())
    return Target("cuda", f"sm_{facts.major}{facts.minor}", facts.name, toolchain, facts.multi_processor_count)


def _triton() -> tuple[str, ...]:
    return (f"triton {version('triton')}",) if importlib.util.find_spec("triton") else ()
