"""Clamps that value ranges decide."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from kernelwright.tricks.idle_clamp import idle_clamp
from tests.pure.rewriting import at_each_site, calls, captured_together, everywhere, never, random_inputs

aten = torch.ops.aten


def _special() -> torch.Tensor:
    (x,) = random_inputs((4, 5))
    x[0, :3] = torch.tensor([float("nan"), float("inf"), float("-inf")])
    return x


def test_an_idle_clamp_is_dropped_and_nan_still_comes_through() -> None:
    formulas = [
        lambda m, x: x.sigmoid().clamp(0, 1),
        lambda m, x: F.relu(x.softmax(-1) + 1),
        lambda m, x: F.hardtanh(x.tanh(), -1, 1),
        lambda m, x: x.exp().abs(),
        lambda m, x: F.leaky_relu(x.relu(), 0.2),
        lambda m, x: F.elu(x * x, alpha=3.0),
        lambda m, x: F.relu6(x.clamp(1, 5)),
        lambda m, x: x.exp().clamp(min=0),
        lambda m, x: x.cos().clamp(max=1.5),
        lambda m, x: torch.maximum(x.exp(), -(x > 0).float()),
        lambda m, x: torch.minimum(torch.full((), 2.0), x.sigmoid()),
        lambda m, x: (x > 0).sum(-1).clamp(min=0),
    ]
    graph = captured_together(formulas, (4, 5))
    assert len(at_each_site(idle_clamp, graph, _special())) == len(formulas)
    assert len(calls(everywhere(idle_clamp, graph, _special()))) < len(calls(graph))


def test_a_clamp_that_always_binds_is_a_constant_where_nan_is_impossible() -> None:
    formulas = [
        lambda m, x: (x > 0).float().clamp(max=-1),
        lambda m, x: F.relu(-(x > 0).float()),
        lambda m, x: (x > 0).float().add(2).clamp(-1, 1),
    ]
    graph = captured_together(formulas, (4, 5))
    at_each_site(idle_clamp, graph, _special())
    new = everywhere(idle_clamp, graph, _special())
    assert {node.target for node in calls(new)} == {aten.full.default}


def test_a_clamp_stays_where_it_may_bind() -> None:
    formulas = [
        lambda m, x: x.clamp(0, 1),
        lambda m, x: x.relu(),
        lambda m, x: x.sigmoid().clamp(0.1, 1),
        lambda m, x: x.tanh().abs(),
        lambda m, x: F.relu(x * x.detach().exp()),
        lambda m, x: x.relu().clamp(max=-1),
        lambda m, x: x.sigmoid().mean(-1).clamp(max=1),
        lambda m, x: torch.maximum(x.exp(), -x.exp()),
        lambda m, x: torch.maximum(x.exp()[0], -(x > 0).float()),
        lambda m, x: F.selu(x.square()),
        lambda m, x: x.exp().clamp(torch.zeros(5), torch.ones(5)),
        lambda m, x: F.leaky_relu(x.cos(), 0.5),
    ]
    never(idle_clamp, captured_together(formulas, (4, 5)))


def test_a_dropped_clamp_does_not_make_an_output_of_a_buffer() -> None:
    graph = captured_together([lambda m, x: m.levels.clamp(min=0)], (4,), levels=torch.ones(3, dtype=torch.uint8))
    (new,) = at_each_site(idle_clamp, graph, *random_inputs((4,)))
    assert [node.target for node in calls(new)] == [aten.clone.default]
