"""Push a slice or a select towards the inputs, so that only what is read is computed.

    select(linear(x, W, b), 1, i)      ->  linear(select(x, 1, i), W, b)
    slice(linear(x, W, b), -1, i, j)   ->  linear(x, W[i:j], b[i:j])
    select(softmax(x + y, -1), 0, i)   ->  softmax(select(x, 0, i) + select(y, 0, i), -1)
    select(cat([x, y], 1), 1, i)       ->  select(y, 1, i - n)

Legal: only the slice reads what is computed, and something other than a view is computed on the way. Slices pass
pointwise calls, linear maps, products, norms, softmax, reductions and attention along the dimensions in which these
are independent, and cat, stack, transposes, views and expansions.
Faster: the rest is not computed. One rewrite pushes as far as it goes.
Accuracy: exact, but for the order in which a smaller product is summed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from kernelwright.graph.edit import call, replace
from kernelwright.graph.query import shares_memory
from kernelwright.tricks.cuts import Piece, cut_of, route
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten


def _refusal(node: fx.Node) -> str:
    piece = cut_of(node)
    if piece is None:
        return "no slice or select that leaves something out"
    reader = node if piece.node in node.all_input_nodes else node.all_input_nodes[0]
    if _saves(piece, reader):
        return ""
    return f"{piece.node} is read by others, cannot be cut there, or is only a view"


def _saves(piece: Piece, reader: fx.Node) -> bool:
    """Whether something is computed, by what cuts can pass, that nobody but this reader needs."""
    if set(piece.node.users) != {reader}:
        return False
    found = route(piece.node, piece.cut)
    if found is None:
        return False
    return not shares_memory(piece.node) or any(_saves(further, piece.node) for further in found.pieces)


def _rewrite(node: fx.Node) -> None:
    todo = [node]
    while todo:
        at = todo.pop()
        if not _refusal(at):
            todo.extend(_push(at))


def _push(node: fx.Node) -> list[fx.Node]:
    """One step up; the new cuts."""
    piece = cut_of(node)
    assert piece is not None
    found = route(piece.node, piece.cut)
    assert found is not None
    made: dict[Piece, fx.Node] = {}
    args = _filled(found.args, node, made)
    new = args[0] if found.target is None else call(node, found.target, *args, **_filled(found.kwargs, node, made))
    _rename(new, node if found.target is None else piece.node, made)
    if found.squeezed is not None:
        new = call(node, aten.squeeze.dim, new, found.squeezed)
    split = [reader for reader in node.all_input_nodes if reader is not piece.node]
    replace(node, new)
    for dead in (*split, piece.node):
        dead.graph.erase_node(dead)
    return list(made.values())


def _rename(new: fx.Node, old: fx.Node, made: dict[Piece, fx.Node]) -> None:
    """The smaller call goes by the name of the whole one; what was there before keeps its own."""
    if new.op == "call_function" and (new in made.values() or not new.users):
        new.name = old.name


def _filled(value: Any, before: fx.Node, made: dict[Piece, fx.Node]) -> Any:
    """Arguments with the pieces made."""
    if isinstance(value, dict):
        return {key: _filled(item, before, made) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_filled(item, before, made) for item in value]
    if not isinstance(value, Piece):
        return value
    if value not in made:
        made[value] = _cut(before, value)
    return made[value]


def _cut(before: fx.Node, piece: Piece) -> fx.Node:
    cut = piece.cut
    if cut.drops:
        return call(before, aten.select.int, piece.node, cut.dim, cut.start)
    step = () if cut.step == 1 else (cut.step,)
    return call(before, aten.slice.Tensor, piece.node, cut.dim, cut.start, cut.stop, *step)


push_slice = Trick("push_slice", _refusal, _rewrite)
