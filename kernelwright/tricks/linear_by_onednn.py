"""Run linear layers on the CPU by oneDNN's kernel, with the function after them in its tail.

    gelu(linear(x, W, b))  ->  mkldnn._linear_pointwise(x, W, b, "gelu")
    x @ W                  ->  mkldnn._linear_pointwise(x, transpose(W))

Legal: float32 on a CPU, where PyTorch has oneDNN. The function goes along if only it reads the layer and it lets NaN
through: gelu, silu, sigmoid, tanh, hardswish, leaky_relu. oneDNN's relu and clamps turn NaN into a number: they stay.
Layers of one weight, the steps of a loop, go together.
Faster: PyTorch gives float32 products to MKL, which is slow on other makers' processors: 10.4 against 4.9 ms for
1024 x 1024 x 1024 on two Zen 5 cores.
Accuracy: the same float32 sums, in the order of another kernel.
"""

from __future__ import annotations

import torch
from torch import fx

from kernelwright.graph.edit import call, dtype, is_call, shape, take_over, value
from kernelwright.graph.query import numel
from kernelwright.tricks.linear_map import product
from kernelwright.tricks.onednn import Tail, has_onednn, tail_of
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten


def _refusal(node: fx.Node) -> str:
    why = _own_refusal(node)
    if why:
        return why
    first = _alike(node)[0]
    return "" if first is node else f"goes with {first.name}"


def _own_refusal(node: fx.Node) -> str:
    if not is_call(node, aten.linear.default) and not _is_by_matrix(node):
        return "no linear layer, and no product with one matrix"
    if not has_onednn("_linear_pointwise"):
        return "this PyTorch has no oneDNN"
    if dtype(node) != torch.float32 or value(node).device.type != "cpu":
        return f"{dtype(node)} on {value(node).device}"
    if len(shape(node.args[1])) != 2 or not numel(node):  # type: ignore[arg-type]
        return "the weight is no matrix, or there is nothing to compute"
    return ""


def _is_by_matrix(node: fx.Node) -> bool:
    found = product(node)
    return found is not None and len(shape(found.right)) == 2 and len(shape(node)) == len(shape(found.left))


def _alike(node: fx.Node) -> list[fx.Node]:
    """The layers of this weight, in graph order: the steps of a loop."""
    weight = node.args[1]
    assert isinstance(weight, fx.Node)
    same = [user for user in weight.users if is_call(user, node.target) and user.args[1] is weight]
    return sorted(user for user in same if not _own_refusal(user))


def _rewrite(node: fx.Node) -> None:
    for layer in _alike(node):
        _hand_over(layer)


def _hand_over(node: fx.Node) -> None:
    tail = tail_of(node)
    source, weight, *bias = node.args
    assert isinstance(weight, fx.Node)
    if not is_call(node, aten.linear.default):
        weight = call(node, aten.transpose.int, weight, 0, 1)
    _replace(node, (source, weight, *(bias or [None])), tail)


def _replace(node: fx.Node, arguments: tuple[object, ...], tail: Tail) -> None:
    target = torch.ops.mkldnn._linear_pointwise.default
    new = call(tail.node, target, *arguments, tail.name, list(tail.numbers), tail.algorithm)
    take_over(tail.node, new, name=node.name)


linear_by_onednn = Trick("linear_by_onednn", _refusal, _rewrite, sure=False)
