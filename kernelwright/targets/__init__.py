"""Kinds of machine: what each is, what it can do at best, and whether it is here."""

from __future__ import annotations

from typing import get_args

from kernelwright.core.errors import MachineError, UsageError
from kernelwright.core.spec import DeviceKind, Roofline, Target
from kernelwright.targets import cpu, cuda

KINDS: tuple[str, ...] = get_args(DeviceKind)


def detect(kind: str, compiler: str = "") -> Target:
    """This machine as a target of that kind. Raises UsageError for no kind, MachineError for one that is not here."""
    if kind not in KINDS:
        raise UsageError(f"backend {kind!r} is not known; known: {', '.join(KINDS)}")
    if kind == "cpu":
        return cpu.detect(compiler)
    if missing := absence(kind):
        raise MachineError(f"backend {kind!r} was asked for, but {missing}; use --device cpu")
    if kind == "cuda":
        return cuda.detect()
    raise MachineError(f"backend {kind!r} is here, but this release judges on cpu and cuda only; use --device cpu")


def roofline(target: Target) -> Roofline:
    """The speed of light of this machine, as its kind has it."""
    return cuda.roofline(target) if target.kind == "cuda" else cpu.roofline(target)


def absence(kind: str) -> str:
    """Why PyTorch cannot use a device of that kind here; empty where it can."""
    import torch

    if kind == "cuda" and not torch.cuda.is_available():
        built = "" if torch.version.cuda else f", and PyTorch {torch.__version__} was built without CUDA"
        return f"this machine has no NVIDIA GPU that PyTorch can use{built}"
    if kind == "mps" and not torch.backends.mps.is_available():
        return "this machine has no Apple GPU that PyTorch can use"
    return ""
