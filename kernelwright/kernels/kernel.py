"""Kernels: one function in one language, and what a caller must hand to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kernelwright.core.spec import TensorSpec

Language = Literal["cpp", "triton"]

Parameters = tuple[tuple[str, int | float | str | bool], ...]


@dataclass(frozen=True, slots=True)
class Argument:
    """One tensor that the function takes.

    input: the value of the graph node of that name, laid out as `spec` says. output: a new tensor so laid out, which
    becomes that node's value. scratch: memory that the function may overwrite and that nobody reads afterwards.
    """

    role: Literal["input", "output", "scratch"]
    name: str
    spec: TensorSpec


@dataclass(frozen=True, slots=True)
class Kernel:
    """The text of one function `name(*arguments)`. Shapes, strides and constants are baked in; nothing is checked."""

    name: str
    language: Language
    source: str
    arguments: tuple[Argument, ...]  # in call order
    flops: float  # arithmetic that cannot be avoided, for the cost model
    nbytes: float  # bytes of inputs and outputs, each moved once
    headers: tuple[str, ...] = ()  # what the text needs above it: '#include "simd.h"'

    @property
    def inputs(self) -> tuple[Argument, ...]:
        return tuple(argument for argument in self.arguments if argument.role == "input")

    @property
    def outputs(self) -> tuple[Argument, ...]:
        return tuple(argument for argument in self.arguments if argument.role == "output")
