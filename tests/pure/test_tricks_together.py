"""Random sequences of legal tricks keep what whole modules compute."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F

from kernelwright.capture.export import program
from kernelwright.tricks import TRICKS
from tests.pure.rewriting import assert_same, random_inputs, randomized


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second, self.last = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.norm(self.first(x)))
        y = F.max_pool2d(F.max_pool2d(F.relu(self.second(y) * 0.5 + y), 2), 2)
        return self.last(F.adaptive_avg_pool2d(y, 1).flatten(1)).softmax(-1).clamp(0, 1)


class Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.gate, self.last = nn.Linear(8, 6), nn.Linear(8, 6), nn.Linear(6, 7)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.dropout(F.gelu(self.first(x) / 2) * torch.sigmoid(self.gate(x)))
        y = (self.last(y) * 3).sum(1, keepdim=True)
        return torch.logsumexp(y, 1, keepdim=True) + y.mean(1, keepdim=True)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.q, self.k, self.v = nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.out, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        q, k, v = (layer(y).view(2, 9, 2, 4).transpose(1, 2) for layer in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(2, 9, 8)
        return self.head(F.relu(self.out(y)) + x)[:, -1]


class Loop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTMCell(5, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = torch.zeros(x.shape[0], 4), torch.zeros(x.shape[0], 4)
        seen = []
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
            seen.append(state[0])
        return self.head(torch.stack(seen, 1))[:, -1]


MODULES: list[tuple[Callable[[], nn.Module], tuple[int, ...]]] = [
    (lambda: Convolutions().eval(), (2, 3, 8, 8)),
    (lambda: Convolutions().train(), (2, 3, 8, 8)),
    (lambda: Perceptron().eval(), (16, 8)),
    (Attention, (2, 9, 8)),
    (Loop, (3, 4, 5)),
]


def _walk(graph: fx.GraphModule, draw: random.Random, limit: int) -> tuple[fx.GraphModule, list[str]]:
    """Legal tricks at random sites."""
    path: list[str] = []
    for _ in range(limit):
        moves = [(trick, site) for trick in TRICKS for site in trick.sites(graph)]
        if not moves:
            break
        trick, site = draw.choice(moves)
        path.append(f"{trick.name} at {site}")
        graph = trick.apply(graph, site)
    return graph, path


@pytest.mark.parametrize("case", range(len(MODULES)))
def test_any_sequence_of_legal_tricks_keeps_what_a_module_computes(case: int) -> None:
    make, size = MODULES[case]
    graph = program(randomized(make()), random_inputs(size))
    for seed in range(4):
        new, path = _walk(graph, random.Random(seed), limit=12)
        try:
            assert_same(graph, new, *random_inputs(size, seed=seed))
        except AssertionError as error:
            raise AssertionError(f"after {path}") from error


@pytest.mark.parametrize("case", range(len(MODULES)))
def test_all_tricks_everywhere_come_to_an_end_and_keep_what_a_module_computes(case: int) -> None:
    make, size = MODULES[case]
    graph = new = program(randomized(make()), random_inputs(size))
    for _ in range(3):
        for trick in TRICKS:
            for _ in range(40):
                if sites := trick.sites(new):
                    new = trick.apply(new, sites[0])
            assert trick.sites(new) == (), trick.name
    assert_same(graph, new, *random_inputs(size))
    assert [trick.name for trick in TRICKS if trick.sites(new)] == []


def test_the_original_graph_is_left_as_it_is() -> None:
    graph = program(randomized(Attention()), random_inputs((2, 9, 8)))
    before = str(graph.graph)
    for trick in TRICKS:
        for site in trick.sites(graph):
            trick.apply(graph, site)
    assert str(graph.graph) == before
