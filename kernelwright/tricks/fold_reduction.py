"""Fold a sum or a mean over a linear map's outputs into its weight, or over its rows into its input.

    sum(linear(x, W, b), -1, keepdim)  ->  linear(x, sum(W, 0, keepdim), sum(b, 0, keepdim))
    sum(linear(x, W, b), 0, keepdim)   ->  linear(sum(x, 0, keepdim), W, n * b)
    sum(conv(x, W, b), 1, keepdim)     ->  conv(x, sum(W, 0, keepdim), sum(b, 0, keepdim))

The same for mean, for products of matrices, and through multiplications by numbers in between.

Legal: only the reduction reads the map; floating point, and no change of dtype on the way.
Faster: a product of matrices becomes a product of a matrix and a vector.
Accuracy: another order of summation; the error stays that of one dot product. Operands that are infinite, or sums
that overflow, may give NaN in one order and infinity in the other.
"""

from __future__ import annotations

import math

import torch
from torch import fx

from kernelwright.graph.edit import call, dtype, is_call, shape
from kernelwright.graph.query import reduction
from kernelwright.tricks.linear_map import (
    REDUCE,
    TRANSPOSED,
    LinearMap,
    Product,
    again,
    linear_map,
    product,
    reduce_rest,
    unscaled,
)
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten


def _refusal(node: fx.Node) -> str:
    found = reduction(node)
    if found is None or found.kind not in REDUCE:
        return "no sum and no mean"
    base, between = unscaled(found.source)
    folded = linear_map(base) or product(base)
    if folded is None:
        return f"{base.name} is no linear map"
    if any(len(link.users) != 1 for link in (base, *between)):
        return f"something else reads {base.name} too"
    if not (dtype(base).is_floating_point and dtype(node) == dtype(base)):
        return f"{dtype(base)} becomes {dtype(node)}"
    if not _foldable(folded, found.dims):
        return (
            f"dimensions {list(found.dims)} of {base.name} are neither its features nor its rows, or have one element"
        )
    return ""


def _foldable(folded: LinearMap | Product, dims: tuple[int, ...]) -> tuple[int, ...]:
    """Which of the dimensions one rewrite folds: the features first, else the rows."""
    size = shape(folded.node)
    channel = folded.channel if isinstance(folded, LinearMap) else len(size) - 1
    if size[channel] == 1:
        return ()
    if channel in dims:
        return () if isinstance(folded, LinearMap) and _is_grouped_transposed(folded) else (channel,)
    rows = tuple(dim for dim in dims if dim in folded.rows)
    return rows if math.prod(size[dim] for dim in rows) > 1 else ()


def _is_grouped_transposed(folded: LinearMap) -> bool:
    return is_call(folded.node, *TRANSPOSED) and folded.groups > 1


def _rewrite(node: fx.Node) -> None:
    found = reduction(node)
    assert found is not None
    base, between = unscaled(found.source)
    folded = linear_map(base) or product(base)
    assert folded is not None
    dims = _foldable(folded, found.dims)
    fold = _fold_features if _is_feature(folded, dims) else _fold_rows
    thin = fold(node, folded, found.kind, dims)
    thin.name = base.name
    for link in reversed(between):
        thin = call(node, link.target, thin, *link.args[1:])
        thin.name = link.name
    reduce_rest(node, thin, found, dims)


def _is_feature(folded: LinearMap | Product, dims: tuple[int, ...]) -> bool:
    channel = folded.channel if isinstance(folded, LinearMap) else len(shape(folded.node)) - 1
    return dims == (channel,)


def _fold_features(before: fx.Node, folded: LinearMap | Product, kind: str, dims: tuple[int, ...]) -> fx.Node:
    if isinstance(folded, Product):
        right = call(before, REDUCE[kind], folded.right, [-1], True, name=_named(folded.right, kind))
        return call(before, folded.node.target, folded.left, right)
    if folded.groups > 1:
        return _fold_groups(before, folded, kind)
    weight = call(before, REDUCE[kind], folded.weight, [folded.weight_channel], True, name=_named(folded.weight, kind))
    return again(before, folded, weight=weight, bias=_reduced_bias(before, folded, kind))


def _fold_groups(before: fx.Node, folded: LinearMap, kind: str) -> fx.Node:
    """The groups' own reductions, side by side, are the weight of one group; a mean divides by the groups too."""
    features, *kernel = shape(folded.weight)
    each = call(before, aten.reshape.default, folded.weight, [folded.groups, features // folded.groups, *kernel])
    each = call(before, REDUCE[kind], each, [1])
    weight = call(before, aten.reshape.default, each, [1, folded.groups * kernel[0], *kernel[1:]])
    if kind == "mean":
        weight = call(before, aten.div.Tensor, weight, folded.groups)
    return again(before, folded, weight=weight, bias=_reduced_bias(before, folded, kind), groups=1)


def _reduced_bias(before: fx.Node, folded: LinearMap, kind: str) -> fx.Node | None:
    if folded.bias is None:
        return None
    return call(before, REDUCE[kind], folded.bias, [0], True, name=_named(folded.bias, kind))


def _named(part: fx.Node, kind: str) -> str:
    return f"{part.name}_{kind}"


def _fold_rows(before: fx.Node, folded: LinearMap | Product, kind: str, dims: tuple[int, ...]) -> fx.Node:
    if isinstance(folded, Product):
        from_right = [dim - len(shape(folded.node)) for dim in dims]
        left = call(before, REDUCE[kind], folded.left, from_right, True, name=_named(folded.left, kind))
        return call(before, folded.node.target, left, folded.right)
    rows = call(before, REDUCE[kind], folded.input, list(dims), True, name=_named(folded.input, kind))
    bias = folded.bias
    if bias is not None and kind == "sum":
        bias = call(before, aten.mul.Tensor, bias, math.prod(shape(folded.node)[dim] for dim in dims))
    return again(before, folded, input=rows, bias=bias)


fold_reduction = Trick("fold_reduction", _refusal, _rewrite)
