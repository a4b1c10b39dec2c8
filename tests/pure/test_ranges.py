"""Value ranges: what every operator's results obey, whatever the inputs are."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import fx, nn

from kernelwright.graph.ranges import Range, range_of, ranges
from tests.pure.rewriting import Recorder, captured, captured_together, random_inputs

FORMULAS = [
    lambda m, x: x.relu().sigmoid() * 3 - 1,
    lambda m, x: 2 - torch.tanh(x) * torch.tanh(-x),
    lambda m, x: (x * x).sum(-1).sqrt().neg().exp(),
    lambda m, x: x.softmax(-1).mean((0, 1)).log(),
    lambda m, x: x.log_softmax(0).abs() / (x.abs() + 1),
    lambda m, x: nn.functional.gelu(x) + nn.functional.silu(x).clamp(max=3),
    lambda m, x: nn.functional.mish(x) - nn.functional.hardswish(x),
    lambda m, x: nn.functional.leaky_relu(x.sin(), 0.3) + nn.functional.elu(x.cos(), 2.0),
    lambda m, x: nn.functional.softplus(x).rsqrt(),
    lambda m, x: torch.logsumexp(x.clamp(-3, 2), 1),
    lambda m, x: torch.where(m.k > 0, x.sigmoid(), 2.0) + (m.k > 1).float(),
    lambda m, x: torch.cat([x.relu(), torch.ones(2, 3, 5)]).amax(0),
    lambda m, x: nn.functional.pad(x.tanh(), (1, 1), value=4.0).max(-1).values,
    lambda m, x: nn.functional.avg_pool1d(x.sigmoid() + 1, 3, padding=1),
    lambda m, x: nn.functional.adaptive_avg_pool2d(nn.functional.relu6(x[None]), (1, 1)).flatten(),
    lambda m, x: nn.functional.max_pool1d(x.erf(), 2).var(-1),
    lambda m, x: (x ** 2 + x.pow(4)).minimum(x.abs()).maximum(torch.zeros(1)),
    lambda m, x: m.k.clamp(2, 5).float() / 7 + nn.functional.hardsigmoid(x),
    lambda m, x: (x.sigmoid() + 0.5).reciprocal() + m.k.sum(),
    lambda m, x: torch.stack([x.exp(), x.neg()])[0].transpose(0, 1).split(1)[0],
    lambda m, x: x.masked_fill(m.k > 0, float("-inf")).softmax(-1),
    lambda m, x: x.var(-1, keepdim=True).add(1).sqrt() - x.norm(dim=-1, keepdim=True),
]  # fmt: skip


class Checker(Recorder):
    """Runs a graph and checks every value against its range."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.ranges = ranges(module.graph)

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        found = self.ranges.get(n)
        if isinstance(found, Range) and isinstance(result, torch.Tensor):
            seen = result.double()
            assert found.nan or not seen.isnan().any(), f"{n.format_node()}: NaN"
            assert (seen.isnan() | ((seen >= found.low) & (seen <= found.high))).all(), f"{n.format_node()}: {found}"
        return result


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e30, math.inf, math.nan])
def test_every_value_lies_in_its_range(scale: float) -> None:
    x = random_inputs((2, 3, 5))[0] * 3
    x[:, 1, ::2] *= scale
    k = torch.arange(30).reshape(2, 3, 5) % 13 - 4
    Checker(captured_together(FORMULAS, (2, 3, 5), k=k)).run(x)


def test_the_range_of_one_node_is_what_the_whole_graph_gives_it() -> None:
    graph = captured_together(FORMULAS, (2, 3, 5), k=torch.ones(2, 3, 5, dtype=torch.int64)).graph
    assert {node: range_of(node) for node in ranges(graph)} == ranges(graph)


def _bounds(formula: Callable[..., object]) -> Range:
    graph = captured(formula, (4, 5))
    (output,) = graph.graph.find_nodes(op="output")[0].all_input_nodes
    return ranges(graph.graph)[output]


def test_bounds_are_tight_where_operators_allow() -> None:
    assert _bounds(lambda m, x: x.relu().sum(-1).sqrt()) == Range(0, math.inf, True)
    assert _bounds(lambda m, x: (x > 0).float() * 2 - 1).is_finite
    assert 0.999 < _bounds(lambda m, x: x.sigmoid().clamp(min=0.2).mean(-1)).high < 1.001
    assert _bounds(lambda m, x: x.softmax(-1).neg()).high == 0


def test_an_input_is_not_assumed_to_be_anything() -> None:
    assert _bounds(lambda m, x: x.clone()) == Range(-math.inf, math.inf, True)
    assert _bounds(lambda m, x: x - x).nan
    assert _bounds(lambda m, x: x / x).nan
    assert _bounds(lambda m, x: x @ x.T).nan


def test_rounding_widens_bounds_so_that_a_clamp_that_guards_against_it_stays() -> None:
    assert _bounds(lambda m, x: x.sigmoid().mean(-1)).high > 1
    assert _bounds(lambda m, x: x.tanh() / 3 * 3).high > 1
