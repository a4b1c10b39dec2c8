"""Slices pushed to the inputs."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from kernelwright.tricks.push_slice import push_slice
from tests.pure.rewriting import at_each_site, calls, captured, captured_together, everywhere, never, random_inputs

aten = torch.ops.aten

PUSHED = [
    lambda m, x: (x * 2 + m.bias).relu()[:, -1],
    lambda m, x: (x.exp() * x)[..., 1:5:2],
    lambda m, x: (x + m.bias)[1:, 2, 3],
    lambda m, x: (m.bias + x)[..., 3],
    lambda m, x: m.fc(x)[:, -1],
    lambda m, x: m.fc(x)[..., 2:4],
    lambda m, x: m.fc(x)[..., 3],
    lambda m, x: m.fc(x)[:, 1:3].relu(),
    lambda m, x: (x @ x.mT)[:, 1],
    lambda m, x: (x @ x.mT)[..., 2:],
    lambda m, x: (x @ x.mT)[1],
    lambda m, x: torch.bmm(x, x.mT)[1:],
    lambda m, x: m.norm(x + 1)[:, 0],
    lambda m, x: (x + 1).softmax(-1)[:, 2],
    lambda m, x: x.cumsum(1)[0],
    lambda m, x: (x * x).sum(1)[:, 2],
    lambda m, x: (x * x).mean(1, keepdim=True)[..., 2],
    lambda m, x: x.amax(0)[1:3],
    lambda m, x: torch.cat([x * 2, x + 1], 1)[:, 6],
    lambda m, x: torch.cat([x * 2, x + 1], 1)[:, 3:8],
    lambda m, x: torch.cat([x * 2, x + 1], 1)[:, ::3][..., 1:],
    lambda m, x: torch.stack([x * 2, x + 1], 1)[:, 1],
    lambda m, x: torch.stack([x * 2, x + 1, x - 1], 2)[:, :, 1:],
    lambda m, x: torch.stack([x * 2, x + 1], 1)[..., 2],
    lambda m, x: m.fc(x).transpose(1, 2)[:, 3],
    lambda m, x: (x * 3).permute(2, 0, 1)[1:, ..., 2],
    lambda m, x: (x + 1)[:, None].expand(3, 4, 5, 6)[..., 4],
    lambda m, x: (x + 1)[:, :1].expand(3, 5, 6)[:, 2],
    lambda m, x: m.fc(x).reshape(3, 5, 2, 4)[:, :, 1],
    lambda m, x: m.fc(x).view(3, 5, 2, 4).transpose(1, 2)[:, 0],
    lambda m, x: (x + 1).unsqueeze(1).squeeze(1)[:, 2:],
    lambda m, x: (x * 2).split(2, 1)[1],
    lambda m, x: (x * 2).chunk(3, 2)[0].relu(),
    lambda m, x: (x * 2).unbind(1)[2],
    lambda m, x: m.conv(x.mT)[1:],
    lambda m, x: m.conv(x.mT)[:, 0],
    lambda m, x: F.max_pool1d(x + 1, 2)[:, 1],
    lambda m, x: F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None])[:, :, 2],
    lambda m, x: F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None], is_causal=True)[..., 1:2],
    lambda m, x: F.embedding(m.tokens, m.table)[:, 1],
    lambda m, x: torch.where(x > 0, x, 1.0)[0],
]


def test_a_slice_is_pushed_through_what_it_can_pass() -> None:
    parts = {"fc": nn.Linear(6, 8), "norm": nn.LayerNorm(6), "conv": nn.Conv1d(6, 4, 3, padding=1),
             "bias": torch.ones(6), "tokens": torch.arange(6).reshape(2, 3), "table": torch.ones(7, 4)}  # fmt: skip
    for number, formula in enumerate(PUSHED):
        graph = captured(formula, (3, 5, 6), **parts)
        assert at_each_site(push_slice, graph, *random_inputs((3, 5, 6))), f"formula {number} offers no site"
        everywhere(push_slice, graph, *random_inputs((3, 5, 6)))


def _elements(graph) -> int:
    return sum(node.meta["val"].numel() for node in calls(graph) if isinstance(node.meta["val"], torch.Tensor))


def test_only_what_is_read_is_computed() -> None:
    layers = {"first": nn.Linear(6, 16), "second": nn.Linear(16, 6), "norm": nn.LayerNorm(6)}
    graph = captured(lambda m, x: m.second(F.gelu(m.first(m.norm(x))))[:, -1], (3, 50, 6), **layers)
    (new,) = at_each_site(push_slice, graph, *random_inputs((3, 50, 6)))
    assert _elements(new) * 40 < _elements(graph)
    assert {"first", "second", "norm"} <= {node.name for node in calls(new)}


def test_a_slice_stays_where_pushing_is_wrong_or_useless() -> None:
    formulas = [
        lambda m, x: ((y := x + 1)[:, 0], y),
        lambda m, x: (y := x + 1)[:, 0] + y[:, 1],
        lambda m, x: (x + 1).split(2, 1)[:2],
        lambda m, x: x[:, 0],
        lambda m, x: x.transpose(1, 2)[:, 0],
        lambda m, x: (x + 1)[:, 0:5],
        lambda m, x: (x[:, :1] + 1)[:, 0],
        lambda m, x: x.softmax(1)[:, 0],
        lambda m, x: x.cumsum(1)[:, -1],
        lambda m, x: m.norm(x)[..., 0],
        lambda m, x: m.norm(x)[..., 1:],
        lambda m, x: m.conv(x.mT)[..., 1:],
        lambda m, x: m.grouped(x.mT)[:, 0],
        lambda m, x: F.max_pool1d(x, 2)[..., 0],
        lambda m, x: (x + 1).reshape(3, 30)[:, 0],
        lambda m, x: F.dropout(x, 0.5)[:, 0],
        lambda m, x: x.sort().values[0],
        lambda m, x: x.flip(1)[:, 0],
    ]
    parts = {
        "norm": nn.LayerNorm(6),
        "conv": nn.Conv1d(6, 4, 3),
        "grouped": nn.Conv1d(6, 4, 3, groups=2),
    }
    never(push_slice, captured_together(formulas, (3, 5, 6), **parts))


def test_a_select_stays_where_it_would_change_how_dtypes_meet() -> None:
    assert push_slice.sites(captured(lambda m, x: (x * m.wide)[:, 2], (3, 5), wide=torch.ones(5)))
    never(push_slice, captured(lambda m, x: (x.double() * m.wide)[:, 2], (3, 5), wide=torch.ones(5)))


def test_a_slice_of_what_a_buffer_is_written_with_stays() -> None:
    def advance(module, x):
        module.state.copy_(x + 1)
        return (module.state * 2)[0]

    graph = captured(advance, (3, 5), state=torch.zeros(3, 5))
    for new in at_each_site(push_slice, graph, *random_inputs((3, 5))):
        assert len(calls(new, aten.copy_)) == 1
