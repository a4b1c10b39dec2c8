"""Small edits of a canonical graph that keep `meta["val"]` true on every node."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch._guards import detect_fake_mode
from torch.fx.node import map_arg

from kernelwright.graph.names import identifier

Op = Any  # torch._ops.OpOverload or operator.getitem


def value(node: fx.Node) -> torch.Tensor:
    """What is known of a node's tensor: a FakeTensor with shape, stride and dtype. Raises TypeError for a tuple."""
    val = node.meta["val"]
    if not isinstance(val, torch.Tensor):
        raise TypeError(f"{node.name} has no single tensor value but {type(val).__name__}")
    return val


def shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(value(node).shape)


def dtype(node: fx.Node) -> torch.dtype:
    return value(node).dtype


def is_tensor(node: object) -> bool:
    """Whether this is a node with one tensor value."""
    return isinstance(node, fx.Node) and isinstance(node.meta.get("val"), torch.Tensor)


def is_call(node: object, *targets: Op) -> bool:
    """Whether this is a call of one of the targets; an overload packet stands for all its overloads."""
    if not isinstance(node, fx.Node) or node.op != "call_function":
        return False
    return node.target in targets or getattr(node.target, "overloadpacket", None) in targets


def fake_mode(graph: fx.Graph) -> Any:
    return detect_fake_mode([node.meta["val"] for node in graph.nodes if is_tensor(node)])


def call(before: fx.Node, target: Op, *args: Any, name: str | None = None, **kwargs: Any) -> fx.Node:
    """Insert a call before a node, with its value inferred. A node that the op refuses raises what the op raises."""
    graph = before.graph
    vals = map_arg((args, kwargs), lambda node: node.meta["val"])
    with fake_mode(graph), torch.no_grad():
        val = target(*vals[0], **vals[1])
    with graph.inserting_before(before):
        node = graph.create_node("call_function", target, tuple(args), kwargs, name=name or _plain_name(target))
    node.meta["val"] = val
    return node


def _plain_name(target: Op) -> str | None:
    """`mul` rather than FX's `mul_tensor`."""
    return identifier(target._opname.strip("_")) if isinstance(target, torch._ops.OpOverload) else None


def replace(old: fx.Node, new: fx.Node) -> None:
    """Every user of `old` reads `new` instead; `old` goes. Shape and dtype must agree."""
    if (shape(old), dtype(old)) != (shape(new), dtype(new)):
        raise ValueError(f"{new.name} {shape(new)} {dtype(new)} cannot stand for {old.name} {shape(old)} {dtype(old)}")
    old.replace_all_uses_with(new)
    old.graph.erase_node(old)


def hoist(node: fx.Node, before: fx.Node) -> None:
    """Move a value that depends on no input, with all that it is made of, to before a node."""
    if node < before:
        return
    for source in node.all_input_nodes:
        hoist(source, before)
    before.prepend(node)


def call_once(before: fx.Node, target: Op, *args: Any, name: str | None = None) -> fx.Node:
    """Like `call`; a call with the same arguments that stands earlier is taken instead."""
    made = call(before, target, *args, name=name)
    for twin in made.all_input_nodes[0].users:
        if twin is not made and twin < made and (twin.target, twin.args, twin.kwargs) == (target, made.args, {}):
            before.graph.erase_node(made)
            return twin
    return made


def take_over(old: fx.Node, new: fx.Node, name: str = "") -> None:
    """Like `replace`; the new node goes by the old one's name, or by that of a node which is gone."""
    replace(old, new)
    new.name = name or old.name


def is_write(node: fx.Node) -> bool:
    """Whether this node writes a buffer, so that it stays though nobody reads it."""
    return is_call(node, torch.ops.aten.copy_.default)


def is_view(node: fx.Node) -> bool:
    """Whether a call moves no data: its result aliases what it reads."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return True
    returns = target._schema.returns
    return bool(returns) and all(result.alias_info is not None and not result.alias_info.is_write for result in returns)


def prune(graph: fx.Graph) -> None:
    """Drop what nobody reads. Placeholders and buffer writes stay."""
    for node in reversed(list(graph.nodes)):
        if node.op in ("call_function", "get_attr") and not node.users and not is_write(node):
            graph.erase_node(node)


def clean(module: fx.GraphModule) -> fx.GraphModule:
    """Drop what nobody reads, check the graph, recompile."""
    prune(module.graph)
    module.graph.lint()
    module.recompile()
    return module


def clone(module: fx.GraphModule) -> fx.GraphModule:
    """A copy whose graph can be edited; names and meta (shared FakeTensors) are kept."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in module.graph.nodes:
        copies[node] = graph.create_node(
            node.op, node.target, map_arg(node.args, lambda n: copies[n]),
            map_arg(node.kwargs, lambda n: copies[n]), name=node.name,
        )  # fmt: skip
        copies[node].meta = dict(node.meta)
    return fx.GraphModule(module, graph)
