"""Add up multiples of one tensor.

    x + x            ->  x * 2
    x * a + x        ->  x * (a + 1)
    x * a - x / b    ->  x * (a - 1 / b)

Legal: a and b are numbers, the sum of the factors is not zero, floating point.
Faster: an operation less; and a linear map before it can take the factor in (fold_scale).
Accuracy: better by a rounding. Where x * a overflows, or x is infinite, only one of the two may be NaN.
"""

from __future__ import annotations

import math

import torch
from torch import fx

from kernelwright.graph.edit import call, dtype, is_call, shape, take_over
from kernelwright.graph.query import arguments
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten


def _refusal(node: fx.Node) -> str:
    if not is_call(node, aten.add.Tensor, aten.sub.Tensor):
        return "no sum of two tensors"
    if not all(isinstance(side, fx.Node) for side in node.args[:2]):
        return "adds a number"
    (one, _), (other, _) = _terms(node)
    if one is not other:
        return f"{one.name} and {other.name} are two tensors"
    if not dtype(node).is_floating_point or (shape(one), dtype(one)) != (shape(node), dtype(node)):
        return "is not floating point, or changes shape or dtype"
    factor = _factor(node)
    return "" if factor != 0 and math.isfinite(factor) else f"the factors add up to {factor}"


def _terms(node: fx.Node) -> list[tuple[fx.Node, float]]:
    return [_term(side) for side in node.args[:2]]  # type: ignore[arg-type]


def _term(side: fx.Node) -> tuple[fx.Node, float]:
    """A tensor, and by which number it is multiplied."""
    if is_call(side, aten.neg.default):
        return side.args[0], -1.0  # type: ignore[return-value]
    if is_call(side, aten.mul.Tensor, aten.div.Tensor):
        source, number = side.args
        if isinstance(source, fx.Node) and isinstance(number, (int, float)) and number != 0:
            return source, float(number) if is_call(side, aten.mul) else 1 / number
    return side, 1.0


def _factor(node: fx.Node) -> float:
    (_, one), (_, other) = _terms(node)
    alpha = arguments(node)["alpha"]
    return one + other * (alpha if is_call(node, aten.add) else -alpha)


def _rewrite(node: fx.Node) -> None:
    factor = _factor(node)
    (source, _), _ = _terms(node)
    take_over(node, call(node, aten.mul.Tensor, source, int(factor) if factor == int(factor) else factor))


collect_terms = Trick("collect_terms", _refusal, _rewrite)
