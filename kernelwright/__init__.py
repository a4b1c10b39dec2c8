"""kernelwright speeds up PyTorch modules with generated kernels that were checked and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kernelwright.core.errors import CaptureError, KernelwrightError, MachineError, StoreError, UsageError

if TYPE_CHECKING:
    from kernelwright.api import optimize

__version__ = "0.1.0"
__all__ = ["CaptureError", "KernelwrightError", "MachineError", "StoreError", "UsageError", "optimize"]


def __getattr__(name: str) -> Any:
    """`optimize` comes on first use: importing torch takes a second that `kernelwright --help` need not wait for."""
    if name == "optimize":
        from kernelwright.api import optimize

        return optimize
    raise AttributeError(f"module 'kernelwright' has no attribute {name!r}")
