"""Fold an average pooling into the convolution before it.

    avg_pool(conv(x, W, b), k, s)     ->  conv(x, avg_pool(pad(W, k - 1), k, 1), b, stride s)
    avg_pool(conv1x1(x, W, b), k, s)  ->  conv1x1(avg_pool(x, k, s), W, b)

Legal: only the pooling reads the convolution; the convolution has stride and dilation one, the pooling no padding and
no rounding up; and it takes fewer multiplications.
Faster: a 3x3 convolution pooled by 4 takes 36 multiplications an element instead of 144.
Accuracy: the pooled weight is rounded before it meets the input.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import fx

from kernelwright.graph.edit import call, is_call, replace, shape
from kernelwright.graph.query import arguments
from kernelwright.tricks.linear_map import CONVOLUTIONS, LinearMap, again, linear_map
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten

POOLINGS = (aten.avg_pool1d, aten.avg_pool2d, aten.avg_pool3d)


def _refusal(node: fx.Node) -> str:
    if not is_call(node, *POOLINGS):
        return "no average pooling"
    folded = linear_map(node.args[0]) if is_call(node.args[0], *CONVOLUTIONS) else None
    if folded is None:
        return f"{node.args[0]} is no convolution of a batch"
    if len(folded.node.users) != 1:
        return f"something else reads {folded.node.name} too"
    inner, outer = arguments(folded.node), arguments(node)
    if set(inner["stride"]) != {1} or set(inner["dilation"]) != {1} or isinstance(inner["padding"], str):
        return "the convolution is strided, dilated, or padded by name"
    if any(outer["padding"]) or outer["ceil_mode"] or outer.get("divisor_override") is not None:
        return "the pooling is padded, rounded up, or divides by another number"
    return "" if _multiplications(node, folded) < 0 else "it would take more multiplications"


def _is_pointwise(folded: LinearMap) -> bool:
    return prod(shape(folded.weight)[2:]) == 1 and not any(arguments(folded.node)["padding"])


def _multiplications(node: fx.Node, folded: LinearMap) -> int:
    """How many more the folded convolution takes, of each feature."""
    if _is_pointwise(folded):
        return prod(shape(node)[2:]) - prod(shape(folded.node)[2:])
    kernel, window = shape(folded.weight)[2:], _window(node)
    grown = prod(size + part - 1 for size, part in zip(kernel, window, strict=True))
    return prod(shape(node)[2:]) * grown - prod(shape(folded.node)[2:]) * prod(kernel)


def _window(node: fx.Node) -> list[int]:
    return _each(arguments(node)["kernel_size"], node)


def _each(numbers: list[int], node: fx.Node) -> list[int]:
    return list(numbers) * (len(shape(node)) - 2) if len(numbers) == 1 else list(numbers)


def _rewrite(node: fx.Node) -> None:
    folded = linear_map(node.args[0])
    assert folded is not None
    new = _pooled_before(node, folded) if _is_pointwise(folded) else _pooled_weight(node, folded)
    replace(node, new)
    new.name = folded.node.name


def _pooled_before(node: fx.Node, folded: LinearMap) -> fx.Node:
    pooled = call(node, node.target, folded.input, *node.args[1:], **dict[str, Any](node.kwargs))
    new = again(node, folded, input=pooled)
    pooled.name = node.name
    return new


def _pooled_weight(node: fx.Node, folded: LinearMap) -> fx.Node:
    window, name = _window(node), folded.weight.name
    around = [part - 1 for part in reversed(window) for _ in range(2)]
    padded = call(node, aten.constant_pad_nd.default, folded.weight, around, 0.0)
    weight: Any = call(node, node.target, padded, window, [1] * len(window), name=f"{name}_pooled")
    stride = _each(arguments(node)["stride"] or window, node)
    return again(node, folded, weight=weight, stride=stride)


fold_pooling = Trick("fold_pooling", _refusal, _rewrite)
