"""What there is to see of a task before anything is tried: its operators, its roofline, the tricks that apply."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import fx

from kernelwright.core.spec import Roofline
from kernelwright.core.task import Task
from kernelwright.engines import cost
from kernelwright.engines.search import captured
from kernelwright.engines.search.rewrite import BY_NAME, rewrite
from kernelwright.graph.edit import is_tensor, is_view, value
from kernelwright.graph.query import outputs


@dataclass(frozen=True, slots=True)
class Value:
    """An input, parameter, buffer or the result of one operator. Bytes are its own; flops are 0 for what is no call."""

    name: str
    op: str  # "input", "parameter", or the operator as PyTorch names it
    reads: tuple[str, ...]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    nbytes: int
    flops: float
    floor_ms: float


@dataclass(frozen=True, slots=True)
class Sight:
    """The canonical graph in order, and the least time that its work and its unavoidable bytes can take.

    The floor counts the operations of the graph as it is written; algebra may need fewer, and the roofline is a model.
    """

    values: tuple[Value, ...]
    flops: float
    nbytes: int  # of inputs, parameters and outputs
    floor_ms: float
    roofline: Roofline


@dataclass(frozen=True, slots=True)
class Applicable:
    """A trick whose preconditions hold on the graph, or do after the tricks listed before it."""

    name: str
    sites: tuple[str, ...]
    doc: str


def see(task: Task, roofline: Roofline) -> Sight:
    """Raises CaptureError where torch.export cannot take the reference."""
    graph = captured(task).graph
    values = tuple(_value(node, roofline) for node in graph.nodes if is_tensor(node))
    flops = sum(each.flops for each in values)
    nbytes = sum(each.nbytes for each in values if each.op in ("input", "parameter")) + _bytes(outputs(graph))
    return Sight(values, flops, nbytes, roofline.seconds(flops, nbytes) * 1e3, roofline)


def applicable(task: Task) -> tuple[Applicable, ...]:
    graph = captured(task)
    here = {name: trick.sites(graph) for name, trick in BY_NAME.items()}
    _, applied = rewrite(graph, tuple(BY_NAME))
    later = {each.trick.name: each.sites for each in applied}
    found = {name: here[name] or later.get(name, ()) for name in BY_NAME}
    return tuple(Applicable(name, sites, BY_NAME[name].doc.strip()) for name, sites in found.items() if sites)


def _value(node: fx.Node, roofline: Roofline) -> Value:
    tensor = value(node)
    work = cost.flops(node) if node.op == "call_function" and not is_view(node) else 0.0
    moved = 0 if is_view(node) else _bytes([node, *node.all_input_nodes])
    return Value(
        node.name,
        {"placeholder": "input", "get_attr": "parameter"}.get(node.op, str(node.target)),
        tuple(source.name for source in node.all_input_nodes),
        tuple(tensor.shape),
        tuple(tensor.stride()),
        str(tensor.dtype).removeprefix("torch."),
        _bytes([node]),
        work,
        roofline.seconds(work, moved) * 1e3 if work else 0.0,
    )


def _bytes(nodes: Iterable[fx.Node]) -> int:
    return sum(_each(nodes))


def _each(nodes: Iterable[fx.Node]) -> Iterator[int]:
    for node in dict.fromkeys(nodes):
        if is_tensor(node):
            yield value(node).numel() * value(node).element_size()
