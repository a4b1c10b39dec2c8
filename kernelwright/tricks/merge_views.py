"""Merge views of views.

    permute(transpose(x, 1, 2), [0, 2, 1])   ->  x
    view(unsqueeze(view(x, s), 0), t)        ->  reshape(x, t)

Legal: chains of transposes and permutations, and chains of reshapes, squeezes and unsqueezes. From the site on, every
chain becomes one call or none.
Faster: a call less; and what a view stood between can be one kernel.
Accuracy: exact.
"""

from __future__ import annotations

import torch
from torch import fx

from kernelwright.graph.edit import call, is_call, is_tensor, replace, shape, take_over
from kernelwright.tricks.cuts import order_of
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten

PERMUTATIONS = (aten.permute, aten.transpose, aten.t)
RESHAPES = (aten.view, aten.reshape, aten._unsafe_view, aten.squeeze, aten.unsqueeze)


def _refusal(node: fx.Node) -> str:
    for kind in (PERMUTATIONS, RESHAPES):
        if is_call(node, *kind):
            return "" if is_call(node.args[0], *kind) else f"{node.args[0]} is no view of its kind"
    return "no view"


def _rewrite(node: fx.Node) -> None:
    for later in list(node.graph.nodes):
        if later.op == "call_function" and not later < node and not _refusal(later):
            _merge(later)


def _merge(node: fx.Node) -> None:
    inner = node.args[0]
    assert isinstance(inner, fx.Node) and is_tensor(inner.args[0])
    source = inner.args[0]
    assert isinstance(source, fx.Node)
    if is_call(node, *RESHAPES):
        _view_as(node, source, shape(source) == shape(node))
        return
    order = [order_of(inner)[dim] for dim in order_of(node)]
    if order == sorted(order):
        replace(node, source)
    else:
        take_over(node, call(node, aten.permute.default, source, order))


def _view_as(node: fx.Node, source: fx.Node, is_same: bool) -> None:
    if is_same:
        replace(node, source)
    else:
        take_over(node, call(node, aten.reshape.default, source, list(shape(node))))


merge_views = Trick("merge_views", _refusal, _rewrite)
