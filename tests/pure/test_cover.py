"""Covering, with a skeleton made of pointwise calls only: what may run as one kernel, and in which order."""

from __future__ import annotations

import random
from typing import cast

import pytest
import torch
from torch import fx, nn

from kernelwright.capture.export import program
from kernelwright.engines.search.cover import cover, runs_at_once, settle
from kernelwright.graph.edit import is_call
from kernelwright.kernels.region import Region, region
from kernelwright.kernels.skeleton import Skeleton

aten = torch.ops.aten


class Pointwise:
    NAME = "pointwise"

    def claims(self, node: fx.Node) -> bool:
        return is_call(node, aten.add, aten.mul, aten.relu, aten.exp)

    def absorbs(self, region: Region, node: fx.Node) -> bool:
        return self.claims(node)


POINTWISE = [cast(Skeleton, Pointwise())]  # writes nothing: covering never asks it to


def covered(function, *shapes: tuple[int, ...]) -> tuple[fx.GraphModule, tuple[Region, ...]]:
    class Module(nn.Module):
        def forward(self, *inputs):
            return function(*inputs)

    graph = program(Module(), [torch.randn(shape) for shape in shapes])
    return graph, cover(graph.graph, POINTWISE, lambda node: False)


def names(regions: tuple[Region, ...]) -> list[str]:
    return [" ".join(node.name for node in region.nodes) for region in regions]


def test_a_chain_is_one_region() -> None:
    _, regions = covered(lambda x: (x.relu() + 1).exp() * 2, (4, 4))
    assert names(regions) == ["relu add exp mul"]


def test_a_call_in_between_that_cannot_join_cuts_the_region() -> None:
    """relu -> softmax -> add, and relu -> add: with both in one kernel, softmax would have to run inside it."""

    def function(x):
        h = x.relu()
        return h + h.softmax(-1)

    _, regions = covered(function, (4, 4))
    assert names(regions) == ["relu", "add"]


def test_two_regions_never_wait_for_each_other() -> None:
    """a -> s1 -> b and c -> s2 -> d: {a, d} and {b, c} are convex each, but neither could run first."""

    def function(x, y):
        a, c = x.relu(), y.exp()
        b = a.softmax(-1) + c
        d = c.softmax(-1) * a
        return b, d

    graph, regions = covered(function, (4, 4), (4, 4))
    owner = {node: each for each in regions for node in each.nodes}
    assert all(runs_at_once(each.nodes, owner) for each in regions)
    a, b, c, d = (next(n for n in graph.graph.nodes if n.name == name) for name in ("relu", "add", "exp", "mul"))
    first = region("pointwise", [a, d])
    assert not runs_at_once([b, c], dict.fromkeys(first.nodes, first))


def test_a_producer_that_others_read_is_left_to_them() -> None:
    def function(x, y):
        h = x.exp()
        return h.softmax(-1), y + h.sum()

    _, regions = covered(function, (4, 4), (4, 4))
    assert names(regions) == ["exp", "add"]


def test_what_is_left_starts_no_region() -> None:
    graph, _ = covered(lambda x: x.relu().softmax(-1).exp(), (4, 4))
    regions = cover(graph.graph, POINTWISE, lambda node: node.name == "exp")
    assert names(regions) == ["relu"]


def test_settled_regions_stand_together_and_the_graph_still_computes_the_same() -> None:
    def function(x, y):
        a = x.relu()
        b = y.softmax(-1)
        c = a + 1
        d = b.exp()
        return c * 2, d + b, a.softmax(0)

    graph, regions = covered(function, (4, 4), (4, 4))
    inputs = torch.randn(4, 4), torch.randn(4, 4)
    before = graph(*inputs)
    settle(graph.graph, regions)
    graph.graph.lint()
    graph.recompile()
    order = [node.name for node in graph.graph.nodes]
    for each in regions:
        places = [order.index(node.name) for node in each.nodes]
        assert places == list(range(min(places), max(places) + 1))
    for got, wanted in zip(graph(*inputs), before, strict=True):
        assert torch.equal(got, wanted)


STEPS = (torch.add, torch.mul, lambda a, b: a.relu(), lambda a, b: a.softmax(-1), lambda a, b: b.cumsum(0))


@pytest.mark.parametrize("seed", range(8))
def test_any_graph_settles(seed: int) -> None:
    draw = random.Random(seed)

    def function(x):
        values = [x]
        for _ in range(25):
            a, b = draw.choice(values), draw.choice(values[-3:])
            values.append(draw.choice(STEPS)(a, b))
        return tuple(values[-4:])

    graph, regions = covered(function, (3, 3))
    wanted = graph(x := torch.randn(3, 3))
    settle(graph.graph, regions)
    graph.graph.lint()
    graph.recompile()
    for got, value in zip(graph(x), wanted, strict=True):
        torch.testing.assert_close(got, value, equal_nan=True)
