"""Merge linear layers of the same weight on slices of one tensor into one layer on the whole tensor.

    linear(x[:, 0], W, b), linear(x[:, 1], W, b), ...  ->  y = linear(x, W, b); y[:, 0], y[:, 1], ...

The input projections of a recurrent loop.

Legal: the slices are along a dimension that is not the layer's input, and together they take at least half of it.
Faster: the weight is read once for all steps, and one large product fills the machine better than many small ones.
Accuracy: exact, but for the order in which a taller product is summed.
"""

from __future__ import annotations

import torch
from torch import fx

from kernelwright.graph.edit import call, is_call, shape, take_over
from kernelwright.tricks.cuts import Piece, taken
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten


def _refusal(node: fx.Node) -> str:
    piece = _step(node)
    if piece is None:
        return "no linear layer on a slice along its rows"
    steps = _steps(node, piece)
    if len(steps) < 2:
        return f"no other slice of {piece.node.name} meets this weight"
    if min(steps) is not node:
        return f"merged at {min(steps).name}"
    read, extent = sum(step.cut.count for step in set(steps.values())), shape(piece.node)[piece.cut.dim]
    return "" if 2 * read >= extent else f"only {read} of {extent} rows are read"


def _step(node: fx.Node) -> Piece | None:
    """The slice that a linear layer reads, where it is along the rows."""
    if not is_call(node, aten.linear.default):
        return None
    source, weight = node.args[:2]
    assert isinstance(source, fx.Node) and isinstance(weight, fx.Node)
    piece = taken(source) if source.op == "call_function" else None
    if piece is None or len(shape(weight)) != 2 or piece.cut.dim == len(shape(piece.node)) - 1:
        return None
    return piece


def _steps(node: fx.Node, piece: Piece) -> dict[fx.Node, Piece]:
    """The layers of the same weight and bias on slices of the same tensor along the same dimension."""
    weight = node.args[1]
    assert isinstance(weight, fx.Node)
    found = {user: step for user in weight.users if (step := _step(user)) and user.args[1:] == node.args[1:]}
    return {user: step for user, step in found.items() if (step.node, step.cut.dim) == (piece.node, piece.cut.dim)}


def _rewrite(node: fx.Node) -> None:
    piece = _step(node)
    assert piece is not None
    steps = _steps(node, piece)
    merged = call(node, aten.linear.default, piece.node, *node.args[1:], name=f"{node.name}_of_all")
    for user, step in sorted(steps.items()):
        take_over(user, _same_slice(user, merged, step))


def _same_slice(before: fx.Node, merged: fx.Node, step: Piece) -> fx.Node:
    cut = step.cut
    if cut.drops:
        return call(before, aten.select.int, merged, cut.dim, cut.start)
    return call(before, aten.slice.Tensor, merged, cut.dim, cut.start, cut.stop, cut.step)


merge_steps = Trick("merge_steps", _refusal, _rewrite)
