"""What a task can tell at all, before any candidate is seen. Today: whether its output depends on its input."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from kernelwright.judge import numerics


def degenerate(outputs: Sequence[Sequence[Tensor]], allowed: Sequence[float]) -> str:
    """Why the task tells little, from the oracle's outputs for different inputs on the same weights; "" if it does."""
    first, *others = outputs
    if all(_constant(value) and all(_equal(value, other[i]) for other in others) for i, value in enumerate(first)):
        return "the output is constant"
    if all(_alike(value, other[i], allowed[i]) for i, value in enumerate(first) for other in others):
        return "the output does not depend on the input"
    return ""


def _constant(value: Tensor) -> bool:
    return value.numel() > 1 and bool((value == value.flatten()[0]).all())


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool((one == other).all())


def _alike(one: Tensor, other: Tensor, allowed: float) -> bool:
    return one.shape == other.shape and numerics.deviation(one, other).error <= allowed
