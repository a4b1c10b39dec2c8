"""A graph covered by skeletons: which nodes each kernel computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from torch import fx

from kernelwright.graph.edit import is_view, is_write
from kernelwright.kernels.region import Region, grown, region
from kernelwright.kernels.skeleton import Skeleton

Owner = dict[fx.Node, Region]

MANY = 8  # views of one tensor: more than the gates of a cell or the heads of a projection, fewer than steps of a loop


def cover(graph: fx.Graph, skeletons: Sequence[Skeleton], left: Callable[[fx.Node], bool]) -> tuple[Region, ...]:
    """Regions that no two share a node of and that can run one after the other.

    Skeletons are asked in the order given; each grows from what it claims in graph order. Nodes that are `left` stay
    PyTorch calls and start no region.
    """
    owner: Owner = {}
    regions: list[Region] = []
    for skeleton in skeletons:
        for node in graph.nodes:
            if node.op == "call_function" and node not in owner and not left(node) and skeleton.claims(node):
                grown_region = grow(skeleton, node, owner)
                regions.append(grown_region)
                owner.update(dict.fromkeys(grown_region.nodes, grown_region))
    return tuple(regions)


def grow(skeleton: Skeleton, anchor: fx.Node, owner: Mapping[fx.Node, Region]) -> Region:
    """The anchor and every neighbour that the skeleton absorbs, until there is none."""
    here = region(skeleton.NAME, [anchor])
    while (bigger := _one_more(skeleton, here, owner)) is not None:
        here = bigger
    return here


def _one_more(skeleton: Skeleton, here: Region, owner: Mapping[fx.Node, Region]) -> Region | None:
    for node in _neighbours(here):
        if node in owner or not skeleton.absorbs(here, node):
            continue
        bigger = grown(here, node)
        if runs_at_once(bigger.nodes, owner):
            return bigger
    return None


def _neighbours(here: Region) -> Iterator[fx.Node]:
    """Consumers first; then producers that nobody else reads, so that no value is computed twice or kept for others.

    One of many views of a tensor stays outside: the steps of an unrolled loop that read `x[:, 0]`, `x[:, 1]`, ...
    are then regions of the same shape, which share one kernel.
    """
    inside = set(here.nodes)
    consumers = {user for node in here.nodes for user in node.users if user not in inside}
    yield from (node for node in sorted(consumers) if node.op == "call_function")
    for node in sorted(here.inputs, reverse=True):
        alone = all(user in inside for user in node.users)
        if node.op == "call_function" and alone and not _is_one_of_many_views(node):
            yield node


def _is_one_of_many_views(node: fx.Node) -> bool:
    return is_view(node) and any(len(source.users) > MANY for source in node.all_input_nodes)


def runs_at_once(nodes: Sequence[fx.Node], owner: Mapping[fx.Node, Region]) -> bool:
    """Whether no path leaves the nodes and comes back, where every region runs as one."""
    inside = set(nodes)
    frontier = [user for node in nodes for user in node.users if user not in inside]
    seen: set[fx.Node] = set()
    while frontier:
        node = frontier.pop()
        unit = owner[node].nodes if node in owner else (node,)
        for member in unit:
            if member in inside:
                return False
            if member not in seen:
                seen.add(member)
                frontier.extend(user for user in member.users if user not in unit)
    return True


def settle(graph: fx.Graph, regions: Sequence[Region]) -> None:
    """Reorder the graph so that each region stands together, after all it reads and before all who read it."""
    owner = {node: here for here in regions for node in here.nodes}
    output = next(node for node in graph.nodes if node.op == "output")
    placed: set[fx.Node] = set()
    for node in list(graph.nodes):
        if node is not output:
            _place(node, owner, placed, output)


def _place(node: fx.Node, owner: Mapping[fx.Node, Region], placed: set[fx.Node], output: fx.Node) -> None:
    """Move a node's unit to the end, after the units that it reads. Iterative: unrolled loops are deep."""
    stack = [node]
    while stack:
        top = stack[-1]
        unit = owner[top].nodes if top in owner else (top,)
        waiting = [
            source for member in unit for source in _after(member) if source not in placed and source not in unit
        ]
        if waiting:
            stack.extend(waiting)
            continue
        stack.pop()
        if top not in placed:
            for member in unit:
                output.prepend(member)
            placed.update(unit)


def _after(node: fx.Node) -> Iterator[fx.Node]:
    """What must come before a node: what it reads, and for a buffer write all who read the old value."""
    yield from node.all_input_nodes
    if is_write(node):
        buffer = node.args[0]
        assert isinstance(buffer, fx.Node)
        yield from (user for user in buffer.users if user is not node)
