"""What a task can tell at all, before any candidate is seen. Today: whether its output depends on its input.

A task is degenerate where a candidate that ignores its inputs would pass: in each group of cases with the same weights,
all of the oracle's outputs are alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from kernelwright.judge import numerics

Outputs = Sequence[Tensor]


def degenerate(groups: Sequence[Sequence[Outputs]], allowed: Sequence[float]) -> str:
    """Why the task tells little, from the oracle's outputs, grouped by weights; "" where it tells enough."""
    if not all(_alike_all(group, allowed) for group in groups):
        return ""
    constant = all(_constant(value) for group in groups for outputs in group for value in outputs)
    return "the output is constant" if constant else "the output does not depend on the input"


def _alike_all(group: Sequence[Outputs], allowed: Sequence[float]) -> bool:
    first, *others = group
    return all(_alike(value, other[i], allowed[i]) for i, value in enumerate(first) for other in others)


def _constant(value: Tensor) -> bool:
    return bool((value == value.flatten()[:1]).all())


def _alike(one: Tensor, other: Tensor, allowed: float) -> bool:
    return one.shape == other.shape and numerics.deviation(one, other).error <= allowed
