"""The speed of light of a problem: the roofline's least time for what any kernel for it has to do."""

from __future__ import annotations

from torch import fx

from kernelwright.core.spec import Roofline
from kernelwright.engines.cost import flops
from kernelwright.graph.edit import is_tensor, is_view, value


def floor_seconds(graph: fx.GraphModule, roofline: Roofline) -> float:
    """The larger of two times: for the operations, as the reference has them, and for the bytes that go in and out.

    The bytes are those of inputs, of weights that are used, and of outputs, each once. Nothing is added for a call.
    A kernel can beat it where algebra saves operations, where data stays in a cache, or where the machine is better
    than its model.
    """
    return max(operations(graph) / roofline.flops, unavoidable_bytes(graph) / roofline.bandwidth)


def operations(graph: fx.GraphModule) -> float:
    calls = (node for node in graph.graph.nodes if node.op == "call_function" and not is_view(node))
    return sum(flops(node) for node in calls)


def unavoidable_bytes(graph: fx.GraphModule) -> int:
    given = [node for node in graph.graph.nodes if node.op in ("placeholder", "get_attr") and node.users]
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    return sum(size(node) for node in dict.fromkeys([*given, *output.all_input_nodes]) if is_tensor(node))


def size(node: fx.Node) -> int:
    return value(node).numel() * value(node).element_size()
