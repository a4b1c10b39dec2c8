"""A trick: one graph rewrite, with the places where it is legal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from torch import fx

from kernelwright.graph.edit import clone
from kernelwright.graph.restore import restored


class IllegalTrick(Exception):
    """This trick does not apply to this node. Searches skip it; people read it."""

    def __init__(self, name: str, node: str, why: str) -> None:
        super().__init__(f"{name} at {node}: {why}")
        self.name, self.node, self.why = name, node, why


@dataclass(frozen=True, slots=True)
class Trick:
    """A rewrite of canonical graphs that keeps what they compute.

    refusal: why the rewrite is not legal at a node; "" where it is.
    rewrite: edits the node's graph in place. Only called where nothing was refused.
    sure: whether it pays wherever it is legal. Of the others, measuring decides.

    Values are kept as real arithmetic has them: each trick's docstring says what rounding, and operands that are not
    finite, can change. `meta["val"]`, output strides, sharing of memory and buffer writes are kept exactly.
    """

    name: str
    refusal: Callable[[fx.Node], str]
    rewrite: Callable[[fx.Node], None]
    sure: bool = True

    @property
    def doc(self) -> str:
        """Before -> after, when legal, why faster, what it costs in accuracy."""
        return sys.modules[self.rewrite.__module__].__doc__ or ""

    def sites(self, graph: fx.GraphModule) -> tuple[str, ...]:
        """Where the trick is legal, in graph order."""
        return tuple(node.name for node in graph.graph.nodes if node.op == "call_function" and not self.refusal(node))

    def apply(self, graph: fx.GraphModule, at: str) -> fx.GraphModule:
        """A rewritten copy. Raises IllegalTrick that says why not."""
        why = self.refusal(self._find(graph, at))
        if why:
            raise IllegalTrick(self.name, at, why)
        copy = clone(graph)
        self.rewrite(self._find(copy, at))
        return restored(copy, graph)

    def _find(self, graph: fx.GraphModule, at: str) -> fx.Node:
        calls = {node.name: node for node in graph.graph.nodes if node.op == "call_function"}
        if at not in calls:
            raise IllegalTrick(self.name, at, f"the graph has no such call; it has {', '.join(calls)}")
        return calls[at]
