"""Fold scales, shifts and BatchNorm in evaluation mode into the linear map before them.

    linear(x, W, b) * s               ->  linear(x, W * s, b * s)
    linear(x, W, b) + t               ->  linear(x, W, b + t)
    batch_norm(conv(x, W, b), g, ...) ->  conv(x, W * s, (b - mean) * s + beta), with s = g / sqrt(var + eps)
    (a @ b) * number                  ->  (a * number) @ b, whichever factor is smaller

Legal: only the scale reads the map; scales and shifts are numbers, or depend on no input and vary along the features
alone; the dtype stays. A scale is folded only where the map's output is larger than what is scaled instead.
Faster: a pass over the output less; the weight is scaled in each call, which its size makes cheap.
Accuracy: one rounding moves from the output to the weight. Where the output overflows, or a scale is infinite, the
result may differ.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from kernelwright.graph.edit import call, dtype, is_call, replace, shape
from kernelwright.graph.query import arguments, is_constant, numel
from kernelwright.tricks.linear_map import LinearMap, Product, again, linear_map, product
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten

SCALES = (aten.mul.Tensor, aten.mul.Scalar, aten.div.Tensor, aten.div.Scalar)
SHIFTS = (aten.add.Tensor, aten.add.Scalar, aten.sub.Tensor, aten.sub.Scalar)
REVERSED = (aten.rsub.Scalar, aten.rsub.Tensor)
BATCH_NORM = aten._native_batch_norm_legit_no_training.default


@dataclass(frozen=True, slots=True)
class Affine:
    """An affine call: of `source`, with `operand` (None for negation) on the side that is not the source's."""

    source: fx.Node
    operand: fx.Node | int | float | None
    source_first: bool = True


def _refusal(node: fx.Node) -> str:
    if _is_batch_norm(node):
        return _batch_norm_refusal(node)
    affine = _affine(node)
    if affine is None:
        return "no scale and no shift"
    folded = linear_map(affine.source) or product(affine.source)
    if folded is None:
        return f"{affine.source.name} is no linear map"
    if len(affine.source.users) != 1:
        return f"something else reads {affine.source.name} too"
    if not dtype(node).is_floating_point or (shape(node), dtype(node)) != (shape(folded.node), dtype(folded.node)):
        return f"{affine.source.name} changes shape or dtype here"
    if isinstance(folded, Product):
        return _operand_refusal(affine, folded) or _product_refusal(node, folded, affine)
    shifts = not is_call(node, *SCALES, aten.neg.default) and _source_factor(node, affine) == 1
    return _operand_refusal(affine, folded) or ("" if shifts else _size_refusal(node, folded))


def _is_batch_norm(node: fx.Node) -> bool:
    return node.target is operator.getitem and is_call(node.args[0], BATCH_NORM) and node.args[1:] == (0,)


def _affine(node: fx.Node) -> Affine | None:
    if is_call(node, aten.neg.default):
        return Affine(node.args[0], None)  # type: ignore[arg-type]
    if not is_call(node, *SCALES, *SHIFTS, *REVERSED):
        return None
    first, second = node.args[:2]
    if first is second:
        return None
    if isinstance(first, fx.Node) and not is_constant(first):
        return Affine(first, second)  # type: ignore[arg-type]
    divides = is_call(node, aten.div)
    return None if divides or not isinstance(second, fx.Node) else Affine(second, first, source_first=False)  # type: ignore[arg-type]


def _operand_refusal(affine: Affine, folded: LinearMap | Product) -> str:
    operand = affine.operand
    if isinstance(operand, (int, float)):
        return "" if math.isfinite(operand) and operand != 0 else f"{operand} is no finite number other than zero"
    if operand is None:
        return ""
    if not is_constant(operand):
        return f"{operand.name} depends on an input"
    if numel(operand) > 1 and (dtype(operand) != dtype(affine.source) or not _is_per_feature(operand, folded)):
        return f"{operand.name} {shape(operand)} is not one number a feature of {folded.node.name}"
    return ""


def _is_per_feature(operand: fx.Node, folded: LinearMap | Product) -> bool:
    size = shape(folded.node)
    channel = folded.channel if isinstance(folded, LinearMap) else len(size) - 1
    aligned = (1,) * (len(size) - len(shape(operand))) + shape(operand)
    wanted = tuple(extent if dim == channel else 1 for dim, extent in enumerate(size))
    return aligned == wanted and (
        folded.has_free_weight if isinstance(folded, LinearMap) else len(shape(folded.right)) == 2
    )


def _size_refusal(node: fx.Node, folded: LinearMap) -> str:
    if numel(folded.weight) < numel(node):
        return ""
    return f"the weight {shape(folded.weight)} is no smaller than the output {shape(node)}"


def _product_refusal(node: fx.Node, folded: Product, affine: Affine) -> str:
    if is_call(node, *SHIFTS, *REVERSED):
        return "a product has no bias to shift"
    scaled = _scaled_factor(folded, affine)
    return "" if numel(scaled) < numel(node) else f"{scaled.name} {shape(scaled)} is no smaller than the product"


def _scaled_factor(folded: Product, affine: Affine) -> fx.Node:
    """A number goes into the smaller factor, one number a feature into the right one."""
    per_feature = isinstance(affine.operand, fx.Node) and numel(affine.operand) > 1
    return folded.right if per_feature or numel(folded.right) < numel(folded.left) else folded.left


def _batch_norm_refusal(node: fx.Node) -> str:
    norm = node.args[0]
    assert isinstance(norm, fx.Node)
    source, *statistics = norm.args[:5]
    folded = linear_map(source)
    if folded is None or folded.channel != 1 or not folded.has_free_weight:
        return f"{source} is no linear map with features in dimension 1"
    if len(folded.node.users) != 1:
        return f"something else reads {source} too"
    if not all(part is None or is_constant(part) for part in statistics):
        return "the statistics depend on an input"
    if any(isinstance(part, fx.Node) and dtype(part) != dtype(folded.node) for part in statistics):
        return "the statistics have another dtype"
    return _size_refusal(node, folded)


def _rewrite(node: fx.Node) -> None:
    if _is_batch_norm(node):
        _fold_batch_norm(node)
        return
    affine = _affine(node)
    assert affine is not None
    folded = linear_map(affine.source)
    new = _fold_into_layer(node, affine, folded) if folded else _fold_into_product(node, affine)
    replace(node, new)
    new.name = affine.source.name


def _fold_into_layer(node: fx.Node, affine: Affine, folded: LinearMap) -> fx.Node:
    weight, bias = folded.weight, folded.bias
    if is_call(node, *SCALES, aten.neg.default):
        weight = _same(node, affine, weight, _along(node, affine.operand, folded))
        bias = bias and _same(node, affine, bias, _vector(node, affine.operand))
        return again(node, folded, weight=weight, bias=bias)
    factor = _source_factor(node, affine)
    weight = weight if factor == 1 else call(node, aten.mul.Tensor, weight, factor, name=f"{weight.name}_scaled")
    bias = bias or _zeros(node, folded)
    return again(node, folded, weight=weight, bias=_same(node, affine, bias, _vector(node, affine.operand)))


def _source_factor(node: fx.Node, affine: Affine) -> int | float:
    """What a shift multiplies its source by: `c - alpha * y` makes it -alpha."""
    alpha = arguments(node).get("alpha", 1)
    if is_call(node, *REVERSED) or (is_call(node, aten.sub) and not affine.source_first):
        return -alpha
    return 1 if affine.source_first else alpha


def _fold_into_product(node: fx.Node, affine: Affine) -> fx.Node:
    folded = product(affine.source)
    assert folded is not None
    factor = _scaled_factor(folded, affine)
    scaled = _same(node, affine, factor, _vector(node, affine.operand))
    left, right = (scaled, folded.right) if factor is folded.left else (folded.left, scaled)
    return call(node, folded.node.target, left, right)


def _same(node: fx.Node, affine: Affine, source: fx.Node, operand: Any) -> fx.Node:
    """The node's own call on another source."""
    name = f"{source.name}_{'shifted' if is_call(node, *SHIFTS, *REVERSED) else 'scaled'}"
    if operand is None:
        return call(node, node.target, source, name=name)
    sides = (source, operand) if affine.source_first else (operand, source)
    return call(node, node.target, *sides, *node.args[2:], name=name, **dict[str, Any](node.kwargs))


def _vector(before: fx.Node, operand: Any) -> Any:
    """One number a feature as a vector; one number in all as a scalar."""
    if not isinstance(operand, fx.Node):
        return operand
    wanted = [] if numel(operand) == 1 else [numel(operand)]
    return operand if list(shape(operand)) == wanted else call(before, aten.reshape.default, operand, wanted)


def _along(before: fx.Node, operand: Any, folded: LinearMap) -> Any:
    """One number a feature, shaped to meet the weight's feature dimension."""
    vector = _vector(before, operand)
    if not isinstance(vector, fx.Node) or numel(vector) == 1:
        return vector
    wanted = [1] * len(shape(folded.weight))
    wanted[folded.weight_channel] = folded.features
    return call(before, aten.reshape.default, vector, wanted)


def _zeros(before: fx.Node, folded: LinearMap) -> fx.Node:
    val = folded.node.meta["val"]
    return call(before, aten.zeros.default, [folded.features], dtype=val.dtype, device=val.device)


def _fold_batch_norm(node: fx.Node) -> None:
    norm = node.args[0]
    assert isinstance(norm, fx.Node)
    source, gain, shift, mean, variance, _, epsilon = norm.args
    folded = linear_map(source)
    assert folded is not None
    weight, bias, name = folded.weight, folded.bias, f"{folded.node.name}_bias"
    safe = call(node, aten.add.Tensor, variance, epsilon, name=f"{node.name}_variance")
    scale = call(node, aten.rsqrt.default, safe, name=f"{node.name}_inverse_deviation")
    scale = scale if gain is None else call(node, aten.mul.Tensor, scale, gain, name=f"{node.name}_scale")
    weight = call(node, aten.mul.Tensor, weight, _along(node, scale, folded), name=f"{weight.name}_scaled")
    centring = (aten.neg.default, mean) if bias is None else (aten.sub.Tensor, bias, mean)
    bias = call(node, *centring, name=f"{name}_centred")
    bias = call(node, aten.mul.Tensor, bias, scale, name=f"{name}_scaled")
    bias = bias if shift is None else call(node, aten.add.Tensor, bias, shift, name=f"{name}_folded")
    new = again(node, folded, weight=weight, bias=bias)
    replace(node, new)
    new.name = folded.node.name


fold_scale = Trick("fold_scale", _refusal, _rewrite)
