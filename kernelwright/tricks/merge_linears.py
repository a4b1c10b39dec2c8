"""Merge linear layers that read the same input into one.

    linear(x, V, b), linear(x, W, c)  ->  y = linear(x, cat([V, W]), cat([b, c])); slices of y

Queries, keys and values; the gates of a recurrent cell written by hand.

Legal: the weights and biases depend on no input, and the dtypes agree. Only where the weights are no larger than what
is computed with them: they are joined in each call, once for all that read them. Groups of the same weights, the
steps of a loop, are merged together.
Faster: the input is read once, and one large product fills the machine better than several small ones.
Accuracy: exact, but for the order in which a wider product is summed.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import fx

from kernelwright.graph.edit import call, call_once, dtype, hoist, is_call, shape, take_over
from kernelwright.graph.query import is_constant, numel
from kernelwright.tricks.linear_map import LinearMap, linear_map
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten


def _refusal(node: fx.Node) -> str:
    if _mergeable(node) is None:
        return "no linear layer with weights that depend on no input"
    group = _group(node)
    if len(group) < 2:
        return f"no other linear layer reads {group[0].input.name}"
    first = group[0].node if group[0].node is not node else next(_alike(group))[0].node
    if first is not node:
        return f"merged with {first.name}"
    features = shape(group[0].weight)[1]
    if features > _rows(group):
        return f"joining weights of {features} inputs costs more than {_rows(group)} rows save"
    return ""


def _mergeable(node: fx.Node) -> LinearMap | None:
    layer = linear_map(node) if is_call(node, aten.linear.default) else None
    if layer is None or not is_constant(layer.weight) or not (layer.bias is None or is_constant(layer.bias)):
        return None
    return layer


def _group(node: fx.Node) -> list[LinearMap]:
    """The layers that read the node's input, in graph order."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    layers = [_mergeable(user) for user in sorted(source.users) if user.args[0] is source]
    return [layer for layer in layers if layer is not None and dtype(layer.node) == dtype(node)]


def _alike(group: list[LinearMap]) -> Iterator[list[LinearMap]]:
    """The groups with the same weights and biases, in graph order: the steps of a loop."""
    weight = group[0].weight
    for head in sorted(user for user in weight.users if is_call(user, aten.linear.default) and user.args[1] is weight):
        other = _group(head)
        if other and other[0].node is head and _weights(other) == _weights(group):
            yield other


def _weights(group: list[LinearMap]) -> list[tuple[fx.Node, fx.Node | None]]:
    return [(layer.weight, layer.bias) for layer in group]


def _rows(group: list[LinearMap]) -> int:
    """How many rows meet these weights in the whole graph."""
    weight = group[0].weight
    readers = [user for user in weight.users if is_call(user, aten.linear.default) and user.args[1] is weight]
    return sum(numel(reader) // shape(reader)[-1] for reader in readers)


def _rewrite(node: fx.Node) -> None:
    for group in list(_alike(_group(node))):
        _merge(group)


def _merge(group: list[LinearMap]) -> None:
    node = group[0].node
    names = [layer.node.name for layer in group]
    name = "_".join(names) if len(names) < 4 else f"{names[0]}_to_{names[-1]}"
    weight = _joined(node, [layer.weight for layer in group], f"{name}_weight")
    bias = _joined_bias(node, group, f"{name}_bias")
    merged = call(node, aten.linear.default, group[0].input, weight, bias, name=name)
    start = 0
    for layer in group:
        stop = start + layer.features
        take_over(layer.node, call(layer.node, aten.slice.Tensor, merged, layer.channel, start, stop))
        start = stop


def _joined(before: fx.Node, parts: list[fx.Node], name: str) -> fx.Node:
    for part in parts:
        hoist(part, before)
    return call_once(before, aten.cat.default, parts, name=name)


def _joined_bias(before: fx.Node, group: list[LinearMap], name: str) -> fx.Node | None:
    """Layers without a bias have one of zeros beside those that have one."""
    if all(layer.bias is None for layer in group):
        return None
    return _joined(before, [layer.bias or _zeros(before, layer) for layer in group], name)


def _zeros(before: fx.Node, layer: LinearMap) -> fx.Node:
    val = layer.node.meta["val"]
    return call(before, aten.zeros.default, [layer.features], dtype=val.dtype, device=val.device)


merge_linears = Trick("merge_linears", _refusal, _rewrite, sure=False)
