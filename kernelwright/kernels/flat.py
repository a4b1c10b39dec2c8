"""A region as primitive ATen: what a skeleton reads when it writes a kernel."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import torch
from torch import fx
from torch.fx.node import map_arg

from kernelwright.core.spec import TensorSpec
from kernelwright.graph.edit import is_tensor
from kernelwright.graph.flatten import flatten
from kernelwright.kernels.region import CannotCover, Region

aten = torch.ops.aten

RESHAPES = {aten.view.default, aten._unsafe_view.default, aten.unsqueeze.default, aten.squeeze.default,
            aten.squeeze.dim, aten.squeeze.dims}  # fmt: skip
PERMUTES = {aten.permute.default, aten.transpose.int, aten.t.default}
SAME = {aten.alias.default, aten.detach.default, aten.clone.default, aten.lift_fresh_copy.default,
        aten._to_copy.default, aten.contiguous.default}  # fmt: skip
VIEWS = {*RESHAPES, *PERMUTES, aten.expand.default, aten.slice.Tensor, aten.select.int, aten.alias.default,
         aten.detach.default, aten.as_strided.default, aten.diagonal.default, aten.unfold.default}  # fmt: skip
REDUCTIONS = {aten.sum.dim_IntList, aten.amax.default, aten.amin.default, aten.prod.dim_int}
PRODUCTS = {aten.mm.default, aten.bmm.default, aten.addmm.default, aten.baddbmm.default}


@dataclass(frozen=True, slots=True)
class Flat:
    """A region's flat graph. A flat node's `meta["origin"]` is the name of the canonical node that it comes from."""

    region: Region
    inputs: tuple[fx.Node, ...]  # placeholders, in the order of region.inputs
    nodes: tuple[fx.Node, ...]  # calls, in order
    outputs: tuple[fx.Node, ...]  # in the order of region.outputs


def flat(region: Region) -> Flat:
    """Each canonical node decomposed by itself, put together; equal calls become one. Raises CannotCover."""
    for node in (*region.inputs, *region.outputs):
        if not is_tensor(node):
            raise CannotCover(node, "it has several results, and kernels take and give single tensors")
    graph = fx.Graph()
    known: dict[fx.Node, Any] = {}
    for source in region.inputs:
        known[source] = graph.placeholder(source.name)
        known[source].meta = {"val": source.meta["val"], "origin": source.name}
    seen: dict[str, fx.Node] = {}
    for node in region.nodes:
        known[node] = _item(node, known) if node.target is operator.getitem else _inline(graph, node, known, seen)
    for node in region.outputs:
        if not isinstance(known[node], fx.Node):
            raise CannotCover(node, "is a tuple that is read from outside")
    outputs = tuple(known[node] for node in region.outputs)
    inputs = tuple(known[node] for node in region.inputs)
    return Flat(region, inputs, _live(graph, outputs), outputs)


def _item(node: fx.Node, known: dict[fx.Node, Any]) -> Any:
    source, index = node.args
    assert isinstance(source, fx.Node)
    if not isinstance(known[source], (tuple, list)):
        raise CannotCover(node, f"an item of {source}, which PyTorch does not decompose")
    return known[source][index]


def _inline(graph: fx.Graph, node: fx.Node, known: dict[fx.Node, Any], seen: dict[str, fx.Node]) -> Any:
    """Copies of the flat calls that one canonical node stands for; gives what stands for its value."""
    own = decomposed(node)
    copies = dict(zip((n for n in own.nodes if n.op == "placeholder"), _sources(node, known), strict=True))
    (result,) = cast("tuple[Any]", next(n for n in own.nodes if n.op == "output").args[0])
    for call in own.nodes:
        if call.op == "call_function":
            copies[call] = _copy(graph, call, node.name if call is result else f"{node.name}_{call.name}", copies, seen)
            copies[call].meta.setdefault("origin", node.name)
        elif call.op == "get_attr":
            raise CannotCover(node, "its decomposition makes a constant tensor")
    return map_arg(result, copies.__getitem__)


def _sources(node: fx.Node, known: dict[fx.Node, Any]) -> list[Any]:
    return [known[source] for source in dict.fromkeys(node.all_input_nodes)]


def _copy(graph: fx.Graph, call: fx.Node, name: str, copies: dict[fx.Node, Any], seen: dict[str, fx.Node]) -> fx.Node:
    args, kwargs = map_arg((call.args, call.kwargs), copies.__getitem__)
    if call.target in PRODUCTS:
        args = _apart(graph, cast("tuple[fx.Node, ...]", args))
    key = f"{call.target}{args}{kwargs}"
    if key not in seen or not call.all_input_nodes or call.target in VIEWS:  # each may run over other dimensions
        seen[key] = graph.create_node("call_function", call.target, args, kwargs, name=name)
        seen[key].meta["val"] = call.meta.get("val")
    return seen[key]


def _apart(graph: fx.Graph, operands: Sequence[fx.Node]) -> tuple[fx.Node, ...]:
    """Inputs under names of their own: a product runs over them differently than whoever else reads them, x @ w + x."""
    result: list[fx.Node] = []
    for node in operands:
        alias = graph.create_node("call_function", aten.alias.default, (node,))
        alias.meta.update(node.meta)
        result.append(alias if node.op == "placeholder" else node)
    return tuple(result)


def _live(graph: fx.Graph, outputs: Sequence[fx.Node]) -> tuple[fx.Node, ...]:
    """The calls that outputs depend on, in order; the others go."""
    wanted: set[fx.Node] = set()
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node not in wanted:
            wanted.add(node)
            stack.extend(node.all_input_nodes)
    for node in reversed(list(graph.nodes)):
        if node not in wanted and node.op == "call_function":
            graph.erase_node(node)
    return tuple(node for node in graph.nodes if node.op == "call_function")


@dataclass(frozen=True)
class _Call:
    """A canonical call, equal to any other call of the same op on tensors that look the same."""

    key: str
    node: fx.Node = field(compare=False)


def decomposed(node: fx.Node) -> fx.Graph:
    """The flat graph of one canonical call. Raises CannotCover where PyTorch has no decomposition of it."""
    if not isinstance(node.target, torch._ops.OpOverload) or node.target._schema.is_mutable:
        raise CannotCover(node, f"{node.target} is no functional ATen call")
    numbers = {
        source: f"%{number}{_looks(source)}" for number, source in enumerate(dict.fromkeys(node.all_input_nodes))
    }
    args = map_arg((node.args, node.kwargs), numbers.__getitem__)
    return _decomposed(_Call(f"{node.target}{args}", node))


@lru_cache(maxsize=4096)
def _decomposed(call: _Call) -> fx.Graph:
    alone = _alone(call.node)
    try:
        return flatten((alone,), (alone,)).graph
    except RuntimeError as error:
        raise CannotCover(call.node, f"PyTorch does not decompose it: {error}") from error


def _alone(node: fx.Node) -> fx.Node:
    """The call in a graph of its own, where its sources' names cannot clash with those that decomposing makes."""
    graph = fx.Graph()
    sources: dict[fx.Node, fx.Node] = {}
    for number, source in enumerate(dict.fromkeys(node.all_input_nodes)):
        sources[source] = graph.placeholder(f"source_{number}")
        sources[source].meta["val"] = source.meta["val"]
    alone = graph.node_copy(node, sources.__getitem__)
    graph.output(alone)
    return alone


def _looks(node: fx.Node) -> str:
    val = node.meta["val"]
    return str([(v.dtype, tuple(v.shape), v.stride()) for v in (val if isinstance(val, (tuple, list)) else [val])])


def spec(node: fx.Node) -> TensorSpec:
    val = node.meta["val"]
    return TensorSpec(tuple(val.shape), tuple(val.stride()), str(val.dtype).removeprefix("torch."), val.device.type)


def refuse(node: fx.Node, why: str) -> CannotCover:
    """Says which canonical node is at fault, where a flat one is."""
    return CannotCover(node.meta.get("origin", node.name), why)
