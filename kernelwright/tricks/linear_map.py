"""What tricks know of linear maps: linear layers and convolutions (input, weight, bias), and products of matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from kernelwright.graph.edit import call, is_call, is_tensor, replace, shape, take_over
from kernelwright.graph.query import Reduction, arguments

aten = torch.ops.aten

CONVOLUTIONS = (aten.conv1d, aten.conv2d, aten.conv3d)
TRANSPOSED = (aten.conv_transpose1d, aten.conv_transpose2d, aten.conv_transpose3d)
REDUCE = {"sum": aten.sum.dim_IntList, "mean": aten.mean.dim}
PRODUCTS = (aten.matmul, aten.mm, aten.bmm)


@dataclass(frozen=True, slots=True)
class LinearMap:
    """A linear layer or a convolution over a batch. `channel` is the output's feature dimension, `weight_channel` the
    weight's; each slice of `rows` of the input gives the same slice of the output.
    """

    node: fx.Node
    input: fx.Node
    weight: fx.Node
    bias: fx.Node | None
    channel: int
    weight_channel: int
    rows: tuple[int, ...]
    groups: int

    @property
    def features(self) -> int:
        return shape(self.node)[self.channel]

    @property
    def has_free_weight(self) -> bool:
        """Whether each output feature has its own slice of the weight along `weight_channel`."""
        return shape(self.weight)[self.weight_channel] == self.features


def linear_map(node: object) -> LinearMap | None:
    """The linear map that this call is; None for other calls, vectors as weights, and images without a batch."""
    if is_call(node, aten.linear.default):
        return _linear(node)  # type: ignore[arg-type]
    if is_call(node, *CONVOLUTIONS, *TRANSPOSED):
        return _convolution(node)  # type: ignore[arg-type]
    return None


def _linear(node: fx.Node) -> LinearMap | None:
    given = arguments(node)
    if len(shape(given["weight"])) != 2:
        return None
    last = len(shape(node)) - 1
    return LinearMap(node, given["input"], given["weight"], given["bias"], last, 0, tuple(range(last)), 1)


def _convolution(node: fx.Node) -> LinearMap | None:
    given = arguments(node)
    if len(shape(given["input"])) != len(shape(given["weight"])):
        return None
    channel = 1 if is_call(node, *TRANSPOSED) else 0
    return LinearMap(node, given["input"], given["weight"], given["bias"], 1, channel, (0,), given["groups"])


def again(before: fx.Node, old: LinearMap, **parts: Any) -> fx.Node:
    """The same map with other parts, of the parameters that its operator names."""
    names = [argument.name for argument in old.node.target._schema.arguments]  # type: ignore[union-attr]
    given = arguments(old.node) | parts
    count = max(len(old.node.args), *(names.index(name) + 1 for name in parts))
    return call(before, old.node.target, *(given[name] for name in names[:count]))


@dataclass(frozen=True, slots=True)
class Product:
    """left @ right, both of two dimensions or more."""

    node: fx.Node
    left: fx.Node
    right: fx.Node

    @property
    def rows(self) -> tuple[int, ...]:
        """Dimensions of the output that are the left's alone."""
        last = len(shape(self.node)) - 1
        return tuple(range(last)) if len(shape(self.right)) == 2 else (last - 1,)


def product(node: object) -> Product | None:
    """The product of matrices that this call is; None for other calls and for products with vectors."""
    if not is_call(node, *PRODUCTS):
        return None
    assert isinstance(node, fx.Node)
    left, right = node.args
    if not (is_tensor(left) and is_tensor(right)) or min(len(shape(left)), len(shape(right))) < 2:  # type: ignore[arg-type]
        return None
    return Product(node, left, right)  # type: ignore[arg-type]


def unscaled(node: fx.Node) -> tuple[fx.Node, list[fx.Node]]:
    """What multiplications by finite numbers are applied to, and those multiplications, last first."""
    between: list[fx.Node] = []
    while _scales(node):
        between.append(node)
        node = node.args[0]  # type: ignore[assignment]
    return node, between


def _scales(node: fx.Node) -> bool:
    if is_call(node, aten.neg.default):
        return True
    if not is_call(node, aten.mul.Tensor, aten.div.Tensor, aten.mul.Scalar, aten.div.Scalar):
        return False
    number = node.args[1]
    return (
        isinstance(node.args[0], fx.Node) and isinstance(number, (int, float)) and number != 0 and math.isfinite(number)
    )


def reduce_rest(node: fx.Node, thin: fx.Node, found: Reduction, dims: tuple[int, ...]) -> None:
    """Put in place of a sum or mean what is left of it; the dimensions that were folded have size one by now."""
    rest = [dim for dim in found.dims if dim not in dims]
    if rest:
        take_over(node, call(node, REDUCE[found.kind], thin, list(found.dims), found.keepdim))
    elif found.keepdim:
        replace(node, thin)
    else:
        take_over(node, call(node, aten.squeeze.dims, thin, list(found.dims)))
