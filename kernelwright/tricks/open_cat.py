"""Open linear layers of joined inputs, where one weight meets several of them.

    linear(cat([x, h], -1), W, b)  ->  linear(x, W[:, :n], b) + linear(h, W[:, n:])

Legal: always; only where the weight is read by two such layers or more: a recurrent cell written by hand. They are
opened together.
Faster: nothing is joined in each step, and the input projections of all steps become one product (merge_steps).
Accuracy: the sum over the inputs is taken in parts.
"""

from __future__ import annotations

import torch
from torch import fx

from kernelwright.graph.edit import call, call_once, is_call, is_tensor, shape, take_over
from kernelwright.graph.query import arguments, dim_of
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten


def _refusal(node: fx.Node) -> str:
    if not is_call(node, aten.linear.default) or not _widths(node):
        return "no linear layer of inputs joined along their features"
    group = _group(node)
    if len(group) < 2:
        return "no other layer of joined inputs has this weight"
    return "" if group[0] is node else f"opened with {group[0].name}"


def _widths(node: fx.Node) -> tuple[int, ...]:
    """How many features come from each of the joined inputs; none where the input is not joined."""
    joined, weight = node.args[:2]
    if not isinstance(joined, fx.Node) or not is_call(joined, aten.cat) or len(shape(weight)) != 2:  # type: ignore[arg-type]
        return ()
    last = len(shape(joined)) - 1
    if dim_of(joined, arguments(joined)["dim"]) != last:
        return ()
    parts = joined.args[0]
    return tuple(shape(part)[-1] for part in parts if is_tensor(part))  # type: ignore[union-attr,arg-type]


def _group(node: fx.Node) -> list[fx.Node]:
    """The layers of this weight on inputs joined in the same way, in graph order."""
    weight = node.args[1]
    assert isinstance(weight, fx.Node)
    layers = sorted(user for user in weight.users if is_call(user, aten.linear.default) and user.args[1] is weight)
    return [layer for layer in layers if _widths(layer) == _widths(node)]


def _rewrite(node: fx.Node) -> None:
    for layer in _group(node):
        _open(layer)


def _open(layer: fx.Node) -> None:
    joined, weight, *bias = layer.args
    assert isinstance(joined, fx.Node) and isinstance(weight, fx.Node)
    total, start = None, 0
    for part, width in zip(joined.args[0], _widths(layer), strict=True):  # type: ignore[arg-type]
        columns = call_once(layer, aten.slice.Tensor, weight, 1, start, start + width)
        product = call(layer, aten.linear.default, part, columns, *(bias if total is None else ()))
        total = product if total is None else call(layer, aten.add.Tensor, total, product)
        start += width
    assert total is not None
    take_over(layer, total)


open_cat = Trick("open_cat", _refusal, _rewrite)
