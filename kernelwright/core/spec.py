"""What goes in and where it runs: tensors, scalars, machines."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

ITEMSIZE = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1,
}  # fmt: skip

DeviceKind = Literal["cpu", "cuda", "mps"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a tensor looks like; nothing about its values. Strides count elements."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    device: str = "cpu"

    @property
    def numel(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.numel * ITEMSIZE[self.dtype]


@dataclass(frozen=True, slots=True)
class ScalarSpec:
    """An input that is a plain number. Its value is part of the task: kernels may rely on it."""

    value: int | float | bool


InputSpec = TensorSpec | ScalarSpec


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of machine: what a kernel is written for, not the state of one machine today."""

    kind: DeviceKind
    arch: str  # "avx512", "avx2", "portable"; "sm_90"; "apple-m4"
    name: str  # as the machine calls itself
    toolchain: tuple[str, ...] = ()  # versions that shape the binary: "g++ 12.2.0", "torch 2.13.0"
    cores: int = 1


@dataclass(frozen=True, slots=True)
class Roofline:
    """The speed of light of one machine: floating-point operations and bytes a second, seconds a call."""

    flops: float
    bandwidth: float
    launch: float

    def seconds(self, flops: float, nbytes: float) -> float:
        """Least time for that much work, as the roofline model has it (Williams et al., 2009)."""
        return self.launch + max(flops / self.flops, nbytes / self.bandwidth)
