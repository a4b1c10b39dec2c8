"""Multiply a chain of matrices in the cheaper order.

    (a @ b) @ c                          ->  a @ (b @ c)
    a @ (b @ c)                          ->  (a @ b) @ c
    linear(linear(x, V, b), W, c)        ->  linear(x, W @ V, W @ b + c)

Legal: only the outer product reads the inner one; a, b and c are matrices, or batches of the same size, or a is a
batch and the others are matrices; the new order takes fewer multiplications.
Faster: by the ratio of the multiplications, which can be the size of a dimension.
Accuracy: other intermediate roundings; a product of weights is rounded before it meets the input. Infinite operands
may give NaN in one order only.
"""

from __future__ import annotations

from math import prod

import torch
from torch import fx

from kernelwright.graph.edit import call, dtype, is_call, shape, take_over
from kernelwright.tricks.linear_map import LinearMap, Product, linear_map, product
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten


def _refusal(node: fx.Node) -> str:
    if not _is_floating_product(node):
        return "no product of floating matrices"
    if is_call(node, aten.linear.default):
        return _layers_refusal(node)
    outer = product(node)
    if outer is None:
        return "no product of matrices"
    chains = [chain for chain in (_leftward(outer), _rightward(outer)) if chain is not None]
    if not chains:
        return "no factor is a product that only this one reads"
    return "" if any(_saves(*chain) for chain in chains) else "the order is the cheaper one"


def _is_floating_product(node: fx.Node) -> bool:
    return is_call(node, aten.linear, aten.matmul, aten.mm, aten.bmm) and dtype(node).is_floating_point


def _leftward(outer: Product) -> tuple[fx.Node, fx.Node, fx.Node, bool] | None:
    """(a @ b) @ c, as a, b, c and whether it is now multiplied from the left."""
    inner = product(outer.left)
    if inner is None or len(outer.left.users) != 1 or outer.right is outer.left:
        return None
    return (inner.left, inner.right, outer.right, True) if _fit(inner.left, inner.right, outer.right) else None


def _rightward(outer: Product) -> tuple[fx.Node, fx.Node, fx.Node, bool] | None:
    inner = product(outer.right)
    if inner is None or len(outer.right.users) != 1 or outer.right is outer.left:
        return None
    return (outer.left, inner.left, inner.right, False) if _fit(outer.left, inner.left, inner.right) else None


def _fit(a: fx.Node, b: fx.Node, c: fx.Node) -> bool:
    batches = [shape(factor)[:-2] for factor in (a, b, c)]
    return batches[1] == batches[2] and (batches[0] == batches[1] or not batches[1])


def _saves(a: fx.Node, b: fx.Node, c: fx.Node, from_left: bool) -> bool:
    """Whether the other order takes fewer multiplications."""
    rows, (inner, middle), columns = prod(shape(a)[:-1]), shape(b)[-2:], shape(c)[-1]
    left = rows * inner * middle + rows * middle * columns
    right = prod(shape(b)[:-1]) * middle * columns + rows * inner * columns
    return right < left if from_left else left < right


def _layers(node: fx.Node) -> tuple[LinearMap, LinearMap] | None:
    outer = linear_map(node)
    inner = linear_map(outer.input) if outer and is_call(outer.input, aten.linear.default) else None
    return (inner, outer) if inner and outer else None


def _layers_refusal(node: fx.Node) -> str:
    layers = _layers(node)
    if layers is None:
        return "reads no linear layer"
    inner, outer = layers
    if len(inner.node.users) != 1:
        return f"something else reads {inner.node.name} too"
    rows, (middle, features), columns = prod(shape(node)[:-1]), shape(inner.weight), outer.features
    merged = columns * middle * features + rows * features * columns
    return "" if merged < rows * middle * (features + columns) else "the order is the cheaper one"


def _rewrite(node: fx.Node) -> None:
    if is_call(node, aten.linear.default):
        _merge_layers(node)
        return
    outer = product(node)
    assert outer is not None
    chain = next(chain for chain in (_leftward(outer), _rightward(outer)) if chain is not None and _saves(*chain))
    a, b, c, from_left = chain
    if from_left:
        new = call(node, aten.matmul.default, a, call(node, aten.matmul.default, b, c))
    else:
        new = call(node, aten.matmul.default, call(node, aten.matmul.default, a, b), c)
    take_over(node, new)


def _merge_layers(node: fx.Node) -> None:
    layers = _layers(node)
    assert layers is not None
    inner, outer = layers
    weight = call(node, aten.matmul.default, outer.weight, inner.weight)
    bias = outer.bias
    if inner.bias is not None:
        moved = call(node, aten.matmul.default, outer.weight, inner.bias)
        bias = moved if bias is None else call(node, aten.add.Tensor, moved, bias)
    take_over(node, call(node, aten.linear.default, inner.input, weight, bias))


reassociate = Trick("reassociate", _refusal, _rewrite, sure=False)
