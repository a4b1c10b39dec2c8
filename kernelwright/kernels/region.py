"""Regions: connected parts of a canonical graph that one kernel is to compute."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

from torch import fx

from kernelwright.graph.flatten import region_inputs, region_outputs


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a canonical graph, and the skeleton that is to write it. Nothing says yet that it can."""

    skeleton: str
    nodes: tuple[fx.Node, ...]  # in graph order
    inputs: tuple[fx.Node, ...]  # tensors read from outside, in order of first use
    outputs: tuple[fx.Node, ...]  # nodes of the region that are read from outside

    def __str__(self) -> str:
        return f"{self.skeleton}({', '.join(node.name for node in self.nodes)})"


class CannotCover(Exception):
    """A skeleton does not write this region. Searches skip it; people read it."""

    def __init__(self, node: fx.Node | str, why: str) -> None:
        super().__init__(f"{node}: {why}")


def region(skeleton: str, nodes: Sequence[fx.Node]) -> Region:
    """The region of these nodes, in graph order whatever the order given; the items of a tuple come with it."""
    items = (user for node in nodes for user in node.users if user.target is operator.getitem)
    ordered = tuple(sorted({*nodes, *items}))
    return Region(skeleton, ordered, tuple(region_inputs(ordered)), tuple(region_outputs(ordered)))


def grown(old: Region, node: fx.Node) -> Region:
    """The region with one node more."""
    return region(old.skeleton, (*old.nodes, node))


def is_convex(nodes: Sequence[fx.Node]) -> bool:
    """Whether no path leaves the nodes and comes back: only then can one kernel compute them at once."""
    inside = set(nodes)
    last = max(inside)
    frontier = [user for node in inside for user in node.users if user not in inside]
    seen: set[fx.Node] = set()
    while frontier:
        node = frontier.pop()
        if node in inside:
            return False
        if node in seen or node > last:
            continue
        seen.add(node)
        frontier.extend(node.users)
    return True
