"""What a call computes, whatever way it was written: its arguments by name, its reduction, its place in memory."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import fx

from kernelwright.graph.edit import is_call, is_tensor, is_write, shape, value

aten = torch.ops.aten


def arguments(node: fx.Node) -> dict[str, Any]:
    """A call's arguments by the names of its schema, defaults filled in."""
    schema = node.target._schema.arguments  # type: ignore[union-attr]
    given = dict(zip((argument.name for argument in schema), node.args, strict=False))
    return {argument.name: argument.default_value for argument in schema} | given | dict(node.kwargs)


def is_pointwise(node: object) -> bool:
    """Whether each element of the one result depends on one element, after broadcasting, of each tensor read."""
    return (
        isinstance(node, fx.Node)
        and isinstance(node.target, torch._ops.OpOverload)
        and is_tensor(node)
        and (torch.Tag.pointwise in node.target.tags or is_call(node, *UNTAGGED))
    )


UNTAGGED = (aten.hardswish, aten.log_sigmoid, aten._to_copy, aten.masked_fill, aten.rsub, aten.where)


@dataclass(frozen=True, slots=True)
class Reduction:
    """One tensor reduced over some of its dimensions, which are sorted and count from the left."""

    kind: str
    source: fx.Node
    dims: tuple[int, ...]
    keepdim: bool

    @property
    def extent(self) -> int:
        """How many elements go into one."""
        return prod(shape(self.source)[dim] for dim in self.dims)


REDUCTIONS: dict[Any, str] = {
    aten.sum: "sum", aten.mean: "mean", aten.prod: "prod", aten.amax: "amax", aten.amin: "amin",
    aten.logsumexp: "logsumexp", aten.argmax: "argmax", aten.argmin: "argmin", aten.max: "amax", aten.min: "amin",
    aten.any: "any", aten.all: "all",
}  # fmt: skip


def reduction(node: fx.Node) -> Reduction | None:
    """The reduction that this node is; None for others, also for max and min over a dimension, which are pairs."""
    kind = REDUCTIONS.get(getattr(node.target, "overloadpacket", None)) if node.op == "call_function" else None
    if kind is None or not is_tensor(node) or not is_tensor(node.args[0]) or "other" in arguments(node):
        return None
    given, source = arguments(node), node.args[0]
    assert isinstance(source, fx.Node)
    return Reduction(kind, source, dims_of(source, given.get("dim")), bool(given.get("keepdim", False)))


def dims_of(source: fx.Node, dim: int | Sequence[int] | None) -> tuple[int, ...]:
    """Dimensions as PyTorch's reductions take them: one, several, or all for None and for an empty list."""
    count = len(shape(source))
    if dim is None or dim == []:
        return tuple(range(count))
    return tuple(sorted({d % max(count, 1) for d in ([dim] if isinstance(dim, int) else dim)}))


def dim_of(node: fx.Node, dim: int) -> int:
    """A dimension, counted from the left."""
    return dim % max(len(shape(node)), 1)


def is_constant(node: object) -> bool:
    """Whether a value depends on no input: parameters, buffers, literals and what is computed from them alone."""
    seen: set[fx.Node] = set()
    todo = [node] if isinstance(node, fx.Node) else []
    while todo:
        at = todo.pop()
        if at.op == "placeholder" or is_random(at):
            return False
        new = [source for source in at.all_input_nodes if source not in seen]
        seen.update(new)
        todo.extend(new)
    return True


def is_random(node: fx.Node) -> bool:
    """Whether two runs may differ. Attention draws numbers only where it drops some."""
    if is_call(node, aten.scaled_dot_product_attention):
        return arguments(node)["dropout_p"] != 0
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def shares_memory(node: fx.Node) -> bool:
    """Whether the result may share memory with what is read. `reshape` and `contiguous` may, so they count."""
    if node.target is operator.getitem:
        return isinstance(node.args[0], fx.Node) and shares_memory(node.args[0])
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    return any(result.alias_info is not None for result in node.target._schema.returns) and not is_write(node)


def owner(node: fx.Node) -> fx.Node:
    """The node whose memory this one may live in."""
    while shares_memory(node):
        source = node.args[0]
        assert isinstance(source, fx.Node), f"{node.name} is a view of nothing"
        node = source
    return node


def outputs(graph: fx.Graph) -> tuple[fx.Node, ...]:
    """What the module returns, flat."""
    last = next(iter(reversed(graph.nodes)))
    return tuple(last.all_input_nodes) if not isinstance(last.args[0], (tuple, list)) else tuple(last.args[0])  # type: ignore[arg-type]


def writes(graph: fx.Graph) -> tuple[fx.Node, ...]:
    """The calls that change buffers."""
    return tuple(node for node in graph.nodes if is_write(node))


def numel(node: fx.Node) -> int:
    return value(node).numel()
