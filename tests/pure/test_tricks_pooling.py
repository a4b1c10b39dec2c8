"""Poolings folded into convolutions and moved before functions; terms collected; joined inputs opened."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from kernelwright.tricks.collect_terms import collect_terms
from kernelwright.tricks.fold_global_pooling import fold_global_pooling
from kernelwright.tricks.fold_pooling import fold_pooling
from kernelwright.tricks.merge_steps import merge_steps
from kernelwright.tricks.open_cat import open_cat
from kernelwright.tricks.pool_first import pool_first
from tests.pure.rewriting import at_each_site, calls, captured, captured_together, everywhere, never, random_inputs

aten = torch.ops.aten


def test_a_global_average_folds_into_any_convolution() -> None:
    layers = {
        "plain": nn.Conv2d(4, 6, 3),
        "strided": nn.Conv2d(4, 6, 3, stride=2, padding=1),
        "uneven": nn.Conv2d(4, 6, (3, 2), stride=(1, 3), padding=(2, 0), dilation=(2, 1), bias=False),
        "grouped": nn.Conv2d(4, 6, 3, groups=2),
        "same": nn.Conv2d(4, 6, (2, 3), padding="same", dilation=(1, 2)),
        "up": nn.ConvTranspose2d(4, 6, 3),
        "wide": nn.ConvTranspose2d(4, 6, (3, 4), stride=(2, 3), padding=1, output_padding=1, dilation=(2, 1)),
    }
    formulas = [
        *(lambda m, x, name=name: getattr(m, name)(x).mean((2, 3)) for name in layers),
        lambda m, x: F.adaptive_avg_pool2d(m.strided(x), 1),
        lambda m, x: (m.wide(x) * 3).sum((2, 3), keepdim=True),
        lambda m, x: m.plain(x).sum(),
        lambda m, x: m.up(x).mean((0, 2, 3)),
    ]
    graph = captured_together(formulas, (2, 4, 8, 9), **layers)
    assert len(at_each_site(fold_global_pooling, graph, *random_inputs((2, 4, 8, 9)))) == len(formulas)


def test_a_global_average_folds_into_convolutions_of_lines_and_volumes() -> None:
    layers = {"line": nn.Conv1d(2, 3, 3, padding=1), "volume": nn.ConvTranspose3d(2, 3, 2, stride=2, padding=1)}
    formulas = [lambda m, x: m.line(x[..., 0, 0]).mean(2), lambda m, x: m.volume(x).mean((2, 3, 4))]
    graph = captured_together(formulas, (2, 2, 5, 4, 3), **layers)
    assert len(at_each_site(fold_global_pooling, graph, *random_inputs((2, 2, 5, 4, 3)))) == len(formulas)


def test_a_global_average_stays_where_folding_is_wrong() -> None:
    formulas = [
        lambda m, x: m.conv(x).relu().mean((2, 3)),
        lambda m, x: m.conv(x).mean(3),
        lambda m, x: m.conv(x).amax((2, 3)),
        lambda m, x: ((y := m.conv(x)).mean((2, 3)), y),
        lambda m, x: m.conv(x[0]).mean((1, 2)),
        lambda m, x: m.grouped(x).mean((2, 3)),
        lambda m, x: m.far(x).mean((2, 3)),
        lambda m, x: F.adaptive_avg_pool2d(m.conv(x), 2),
        lambda m, x: m.conv(x).mean((2, 3), dtype=torch.float64),
        lambda m, x: m.whole(x).mean((2, 3)),
    ]
    parts = {"conv": nn.Conv2d(4, 6, 3), "grouped": nn.ConvTranspose2d(4, 6, 3, groups=2),
             "far": nn.Conv2d(4, 2, 3, padding=8, dilation=8), "whole": nn.Conv2d(4, 2, 7)}  # fmt: skip
    never(fold_global_pooling, captured_together(formulas, (2, 4, 7, 7), **parts))


def test_an_average_pooling_folds_into_the_convolution_before_it() -> None:
    formulas = [
        lambda m, x: F.avg_pool2d(m.conv(x), 3),
        lambda m, x: F.avg_pool2d(m.grouped(x), (2, 3), stride=(3, 2)),
        lambda m, x: F.avg_pool1d(m.line(x[..., 0]), 4),
        lambda m, x: F.avg_pool2d(m.point(x), 2, stride=3),
    ]
    parts = {"conv": nn.Conv2d(4, 6, 3, padding=1), "grouped": nn.Conv2d(4, 6, (3, 2), groups=2, bias=False),
             "line": nn.Conv1d(4, 2, 5), "point": nn.Conv2d(4, 2, 1)}  # fmt: skip
    graph = captured_together(formulas, (2, 4, 13, 14), **parts)
    assert len(at_each_site(fold_pooling, graph, *random_inputs((2, 4, 13, 14)))) == len(formulas)


def test_an_average_pooling_stays_where_folding_is_wrong_or_dearer() -> None:
    formulas = [
        lambda m, x: F.avg_pool2d(m.strided(x), 2),
        lambda m, x: F.avg_pool2d(m.conv(x), 3, padding=1),
        lambda m, x: F.avg_pool2d(m.conv(x), 3, ceil_mode=True),
        lambda m, x: F.avg_pool2d(m.conv(x), 3, divisor_override=2),
        lambda m, x: F.avg_pool2d(m.conv(x), 3, stride=1),
        lambda m, x: (F.avg_pool2d(y := m.conv(x), 3), y),
        lambda m, x: F.avg_pool2d(m.up(x), 3),
        lambda m, x: F.max_pool2d(m.conv(x), 3),
    ]
    parts = {"strided": nn.Conv2d(4, 6, 3, stride=2), "conv": nn.Conv2d(4, 6, 3),
             "up": nn.ConvTranspose2d(4, 2, 3)}  # fmt: skip
    never(fold_pooling, captured_together(formulas, (2, 4, 13, 14), **parts))


def test_a_function_that_only_grows_follows_the_pooling() -> None:
    (x,) = random_inputs((2, 3, 8, 8))
    x[0, 0, 0, :3] = torch.tensor([float("nan"), float("inf"), float("-inf")])
    formulas = [
        lambda m, x: F.max_pool2d(x.relu(), 2),
        lambda m, x: F.max_pool2d(x.clamp(-0.5, 0.5), 3, stride=2, padding=1),
        lambda m, x: F.max_pool2d(x.sigmoid() * 3 - 1, 2),
        lambda m, x: F.max_pool2d(F.leaky_relu(x) + m.bias, 2),
        lambda m, x: F.max_pool2d(F.elu(x) / 2, 2, ceil_mode=True),
        lambda m, x: F.max_pool1d(x[0].tanh(), 2),
    ]
    graph = captured_together(formulas, (2, 3, 8, 8), bias=torch.ones(3, 1, 1))
    assert len(at_each_site(pool_first, graph, x)) == len(formulas)
    new = everywhere(pool_first, graph, x)
    assert all(node.args[0].op != "call_function" for node in calls(new, aten.max_pool2d))  # type: ignore[union-attr]


def test_a_function_stays_before_the_pooling_where_order_could_change() -> None:
    formulas = [
        lambda m, x: F.max_pool2d(F.gelu(x), 2),
        lambda m, x: F.max_pool2d(x * -2, 2),
        lambda m, x: F.max_pool2d(x * m.bias, 2),
        lambda m, x: F.max_pool2d(x + m.along, 2),
        lambda m, x: F.max_pool2d(2 - x, 2),
        lambda m, x: F.max_pool2d(x.abs(), 2),
        lambda m, x: F.avg_pool2d(x.relu(), 2),
        lambda m, x: (F.max_pool2d(y := x.relu(), 2), y),
        lambda m, x: F.max_pool2d(x.relu(), 1),
        lambda m, x: F.max_pool2d(F.leaky_relu(x, -0.1), 2),
        lambda m, x: F.max_pool2d((x > 0).float().exp().double(), 2),
        lambda m, x: F.max_pool2d(x + x, 2),
    ]
    never(pool_first, captured_together(formulas, (2, 3, 8, 8), bias=torch.ones(3, 1, 1), along=torch.ones(8)))


def test_multiples_of_one_tensor_are_added_up() -> None:
    formulas = [
        lambda m, x: x + x,
        lambda m, x: x * 3 + x,
        lambda m, x: x / 4 - x * 0.3,
        lambda m, x: torch.add(x, -x, alpha=3),
    ]
    graph = captured_together(formulas, (4, 3))
    assert len(at_each_site(collect_terms, graph, *random_inputs((4, 3)))) == len(formulas)
    kept = [
        lambda m, x: x - x,
        lambda m, x: x * 2 + x * -2,
        lambda m, x: x + 1,
        lambda m, x: x + x[:1],
        lambda m, x: x[:1] + x,
        lambda m, x: x.long() + x.long() * 2,
        lambda m, x: (y := x.long()) + y,
        lambda m, x: x * x + x.exp(),
        lambda m, x: x * float("inf") + x,
    ]
    never(collect_terms, captured_together(kept, (4, 3)))


def _loop(module: Any, x: torch.Tensor) -> torch.Tensor:
    hidden = torch.zeros(x.shape[0], 5)
    for step in range(x.shape[1]):
        hidden = torch.tanh(module.cell(torch.cat([x[:, step], hidden], 1)))
    return module.head(torch.cat([x[:, 0], hidden], 1))


def test_a_cell_written_by_hand_opens_so_that_its_input_projections_merge() -> None:
    graph = captured(_loop, (3, 4, 6), cell=nn.Linear(11, 5), head=nn.Linear(11, 2))
    (new,) = at_each_site(open_cat, graph, *random_inputs((3, 4, 6)))
    assert len(calls(new, aten.cat)) == 1
    merged = everywhere(merge_steps, new, *random_inputs((3, 4, 6)))
    assert len(calls(merged, aten.linear)) == 1 + 4 + 1


def test_layers_of_joined_inputs_stay_where_nothing_is_gained() -> None:
    formulas = [
        lambda m, x: m.one(torch.cat([x, x + 1], 1)),
        lambda m, x: m.two(torch.cat([x, x], 0)) + m.two(torch.cat([x, x * 2], 0)),
        lambda m, x: m.three(torch.cat([x, x[:, :1]], 1)) + m.three(torch.cat([x[:, :1], x], 1)),
    ]
    parts = {"one": nn.Linear(12, 5), "two": nn.Linear(6, 5), "three": nn.Linear(7, 5)}
    never(open_cat, captured_together(formulas, (3, 6), **parts))
