"""Pool before a function that only grows.

    max_pool(relu(x), k)      ->  relu(max_pool(x, k))
    max_pool(x + b, k)        ->  max_pool(x, k) + b, for b of one number a channel
    max_pool(x * 3 - 1, k)    ->  max_pool(x, k) * 3 - 1

Legal: only the pooling reads the function's result; the function keeps the order of its arguments and lets NaN through:
relu, clamps, sigmoid, tanh, exp, leaky_relu, elu, multiplication by positive numbers, addition.
Faster: the function is computed on the pooled image, a quarter of the elements or less.
Accuracy: exact, but where a function's approximation does not grow in its last digit.
"""

from __future__ import annotations

import torch
from torch import fx

from kernelwright.graph.edit import call, dtype, is_call, shape, take_over
from kernelwright.graph.query import arguments, numel
from kernelwright.graph.ranges import limits
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten

POOLINGS = (aten.max_pool1d, aten.max_pool2d, aten.max_pool3d)
GROWING = (aten.sigmoid, aten.tanh, aten.exp, aten.hardsigmoid)


def _refusal(node: fx.Node) -> str:
    if not is_call(node, *POOLINGS):
        return "no maximum pooling"
    function = node.args[0]
    assert isinstance(function, fx.Node)
    if function.op != "call_function" or not _grows(function, len(arguments(node)["kernel_size"])):
        return f"{function.name} is no function that only grows"
    if len(function.users) != 1:
        return f"something else reads {function.name} too"
    source = function.args[0]
    assert isinstance(source, fx.Node)
    if not dtype(function).is_floating_point or (shape(source), dtype(source)) != (shape(function), dtype(function)):
        return f"{function.name} changes shape or dtype"
    return "" if numel(node) < numel(function) else "the pooled image is no smaller"


def _grows(function: fx.Node, dims: int) -> bool:
    if is_call(function, *GROWING) or limits(function) is not None:
        return True
    if is_call(function, aten.leaky_relu):
        return arguments(function)["negative_slope"] >= 0
    if is_call(function, aten.elu):
        given = arguments(function)
        return given["alpha"] >= 0 and given["scale"] > 0 and given["input_scale"] > 0
    if is_call(function, aten.mul.Tensor, aten.div.Tensor):
        number = function.args[1]
        return isinstance(function.args[0], fx.Node) and isinstance(number, (int, float)) and number > 0
    return is_call(function, aten.add.Tensor, aten.sub.Tensor) and _shifts(function, dims)


def _shifts(function: fx.Node, dims: int) -> bool:
    """Whether the second argument of a sum is the same all over each image."""
    source, shift = function.args[:2]
    if not isinstance(source, fx.Node) or isinstance(shift, (int, float)):
        return isinstance(source, fx.Node)
    assert isinstance(shift, fx.Node)
    return set(shape(shift)[-dims:]) <= {1} and source is not shift


def _rewrite(node: fx.Node) -> None:
    function = node.args[0]
    assert isinstance(function, fx.Node)
    pooled = call(node, node.target, function.args[0], *node.args[1:], **dict(node.kwargs))  # type: ignore[arg-type]
    new = call(node, function.target, pooled, *function.args[1:], **dict(function.kwargs))  # type: ignore[arg-type]
    take_over(node, new, name=function.name)
    pooled.name = node.name


pool_first = Trick("pool_first", _refusal, _rewrite)
