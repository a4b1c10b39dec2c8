"""A task's graph as text: shapes, strides, bytes, operations, the roofline, and the tricks that are legal on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from torch import fx

from kernelwright.core.spec import Roofline
from kernelwright.core.task import Task
from kernelwright.engines import cost
from kernelwright.engines.search.plan import captured
from kernelwright.engines.search.rewrite import BY_NAME, rewrite
from kernelwright.graph.edit import dtype, is_tensor, is_view, shape, value
from kernelwright.graph.printing import attribute, expression

MOST_NODES = 200  # a graph beyond that is cut: the reference's text says the rest


@dataclass(frozen=True, slots=True)
class Facts:
    """What a writer may know of a task beside its reference."""

    graph: str
    roofline: str
    tricks: str


@lru_cache(maxsize=4)
def facts(task: Task, roofline: Roofline) -> Facts:
    """Capturing takes a second, and every round of a task asks again."""
    graph = captured(task)
    return Facts("\n".join(graph_lines(graph)), bound(graph, roofline), "\n\n".join(trick_texts(graph)))


def graph_lines(graph: fx.GraphModule) -> Iterator[str]:
    """`gelu = F.gelu(linear): float32[1024, 1024], strides (1024, 1), 4.19 MB`, one line for each node."""
    nodes = [node for node in graph.graph.nodes if node.op != "output"]
    for node in nodes[:MOST_NODES]:
        yield f"{defined(node)}: {looks(node)}{work(node)}"
    if len(nodes) > MOST_NODES:
        yield f"... and {len(nodes) - MOST_NODES} more"


def defined(node: fx.Node) -> str:
    if node.op == "placeholder":
        return f"{node.name} (input)"
    if node.op == "get_attr":
        return attribute(str(node.target))
    return f"{node.name} = {expression(node, name)}"


def name(node: fx.Node) -> str:
    return attribute(str(node.target)) if node.op == "get_attr" else node.name


def looks(node: fx.Node) -> str:
    if not is_tensor(node):
        return "several values"
    kind = str(dtype(node)).removeprefix("torch.")
    return f"{kind}{list(shape(node))}, strides {tuple(value(node).stride())}, {megabytes(nbytes(node))}"


def work(node: fx.Node) -> str:
    if node.op != "call_function" or is_view(node) or not is_tensor(node):
        return ""
    return f", {cost.flops(node) / 1e6:.3g} MFLOP"


def nbytes(node: fx.Node) -> int:
    return value(node).numel() * value(node).element_size() if is_tensor(node) else 0


def megabytes(count: float) -> str:
    return f"{count / 1e6:.3g} MB"


def bound(graph: fx.GraphModule, roofline: Roofline) -> str:
    """What the task takes at least by the roofline model, and which of the two roofs it is under."""
    nodes = list(graph.graph.nodes)
    outputs = {source for node in nodes if node.op == "output" for source in node.all_input_nodes}
    moved = sum(nbytes(node) for node in {node for node in nodes if node.op in ("placeholder", "get_attr")} | outputs)
    calls = [node for node in nodes if node.op == "call_function" and not is_view(node)]
    passes = sum(nbytes(node) for call in calls for node in (call, *call.all_input_nodes))
    flops = sum(cost.flops(call) for call in calls)
    roof = "operations" if flops / roofline.flops > moved / roofline.bandwidth else "bytes"
    return (
        f"By a model of this machine: {roofline.flops / 1e9:.0f} GFLOP/s in float32, "
        f"{roofline.bandwidth / 1e9:.0f} GB/s, {roofline.launch * 1e6:.0f} us a call. Inputs, weights and outputs are "
        f"{megabytes(moved)}; operator by operator, {megabytes(passes)} are read and written, with "
        f"{flops / 1e6:.3g} MFLOP. A single kernel takes at least {roofline.seconds(flops, moved) * 1e3:.3g} ms, "
        f"and {roof} are what bounds it."
    )


def trick_texts(graph: fx.GraphModule) -> Iterator[str]:
    """The docstring of each trick that is legal somewhere: on the graph as it is, or after those before it."""
    chained = {applied.trick.name: applied.sites for applied in rewrite(graph, tuple(BY_NAME))[1]}
    for trick in BY_NAME.values():
        if sites := trick.sites(graph) or chained.get(trick.name, ()):
            yield f"{trick.name}, at {', '.join(sites[:6])}:\n{trick.doc.strip()}"
