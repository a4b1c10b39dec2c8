"""Tricks that fold what follows a linear map into it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kernelwright.graph.query import outputs
from kernelwright.tricks.drop_unit_reduction import drop_unit_reduction
from kernelwright.tricks.fold_reduction import fold_reduction
from kernelwright.tricks.fold_scale import fold_scale
from tests.pure.rewriting import at_each_site, calls, captured, captured_together, everywhere, never, random_inputs

aten = torch.ops.aten


def test_a_reduction_folds_into_the_linear_layer_before_it() -> None:
    formulas = [
        lambda m, x: m.fc(x).sum(-1),
        lambda m, x: m.fc(x).mean(2, keepdim=True),
        lambda m, x: m.fc(x).sum(dim=(0, 2)),
        lambda m, x: m.fc(x).mean(dim=1, keepdim=True),
        lambda m, x: m.fc(x).sum(dim=(0, 1)),
        lambda m, x: m.fc(x).sum(),
        lambda m, x: m.fc(x).mean(),
        lambda m, x: (-m.fc(x) * 3 / 7).sum(-1, keepdim=True),
    ]  # fmt: skip
    graph = captured_together(formulas, (4, 5, 6), fc=nn.Linear(6, 8))
    assert len(at_each_site(fold_reduction, graph, *random_inputs((4, 5, 6)))) == len(formulas)
    everywhere(fold_reduction, graph, *random_inputs((4, 5, 6)))


def test_a_sum_over_everything_leaves_a_product_with_a_vector() -> None:
    graph = captured(lambda m, x: m.fc(x).sum(), (4, 5, 6), fc=nn.Linear(6, 8))
    new = everywhere(fold_reduction, graph, *random_inputs((4, 5, 6)))
    assert calls(new, aten.linear)[0].meta["val"].shape == (4, 5, 1)
    assert calls(new, aten.linear)[0].name == "fc"


def test_a_reduction_over_channels_folds_into_the_convolution() -> None:
    convolutions = {
        "strided": nn.Conv2d(4, 6, 3, padding=1, stride=2),
        "bare": nn.Conv2d(4, 6, 3, padding="same", bias=False),
        "grouped": nn.Conv2d(4, 6, 3, groups=2, padding=1),
        "transposed": nn.ConvTranspose2d(4, 6, 3, stride=2),
    }
    formulas = [lambda m, x, name=name, reduce=reduce: reduce(getattr(m, name)(x), dim=1, keepdim=True)
                for name in convolutions for reduce in (torch.sum, torch.mean)]  # fmt: skip
    graph = captured_together(formulas, (2, 4, 7, 7), **convolutions)
    for new in at_each_site(fold_reduction, graph, *random_inputs((2, 4, 7, 7))):
        assert len(fold_reduction.sites(new)) == len(formulas) - 1


def test_a_reduction_folds_into_a_product() -> None:
    formulas = [
        lambda m, a, b: (a @ b).sum(-1),
        lambda m, a, b: (a @ b).mean(-2, keepdim=True),
        lambda m, a, b: torch.bmm(a, b).sum((1, 2)),
        lambda m, a, b: (a @ b[0]).mean((0, 1)),
    ]  # fmt: skip
    graph = captured_together(formulas, (3, 4, 5), (3, 5, 6))
    assert len(at_each_site(fold_reduction, graph, *random_inputs((3, 4, 5), (3, 5, 6)))) == len(formulas)
    everywhere(fold_reduction, graph, *random_inputs((3, 4, 5), (3, 5, 6)))


def test_a_reduction_stays_where_folding_is_wrong_or_useless() -> None:
    formulas = [
        lambda m, x: (y := m.fc(x)).sum(-1) + y.amax(),
        lambda m, x: ((y := m.fc(x)).sum(-1), y),
        lambda m, x: m.fc(x).amax(-1),
        lambda m, x: m.fc(x).relu().sum(-1),
        lambda m, x: (m.fc(x) + 1).sum(-1),
        lambda m, x: m.fc(x).sum(-1, dtype=torch.float64),
        lambda m, x: (m.fc(x) * float("inf")).sum(-1),
        lambda m, x: m.thin(x).sum(-1),
        lambda m, x: m.fc(x[:1]).sum(0),
        lambda m, x: m.conv(x[None, None]).sum((2, 3)),
        lambda m, x: m.grouped(x[None, :4]).sum(1),
        lambda m, x: (x @ m.fc.weight[0]).sum(-1),
        lambda m, x: (x.long() @ x.long().T).sum(-1),
    ]  # fmt: skip
    parts = {"fc": nn.Linear(6, 8), "thin": nn.Linear(6, 1), "conv": nn.Conv2d(1, 2, 3, padding=1)}
    never(fold_reduction, captured_together(formulas, (4, 6), **parts, grouped=nn.ConvTranspose1d(4, 4, 3, groups=2)))


def test_a_reduction_over_the_batch_dims_of_both_factors_stays() -> None:
    never(fold_reduction, captured(lambda m, a, b: (a @ b).sum(0), (3, 4, 5), (3, 5, 6)))


def test_a_reduction_over_one_element_is_dropped_exactly() -> None:
    formulas = [
        lambda m, x: x.sum(1, keepdim=True),
        lambda m, x: x.sum(1),
        lambda m, x: x.mean((1, 3)),
        lambda m, x: x.logsumexp(1),
        lambda m, x: x.amax(1, keepdim=True) * 2,
        lambda m, x: x.prod(1),
        lambda m, x: x.max(1).values,
        lambda m, x: x.min(1, keepdim=True),
        lambda m, x: x.argmax(1),
        lambda m, x: x.cumsum(1),
        lambda m, x: x.softmax(1),
        lambda m, x: x.log_softmax(3),
        lambda m, x: x - x.mean(1, keepdim=True),
        lambda m, x: (x > 0).sum(1),
        lambda m, x: x[0, 0, 0].sum(),
    ]  # fmt: skip
    (x,) = random_inputs((4, 1, 5, 1))
    x[:, 0, 2, 0] = torch.tensor([0.0, float("inf"), float("-inf"), float("nan")])
    graph = captured_together(formulas, (4, 1, 5, 1))
    assert len(drop_unit_reduction.sites(graph)) >= len(formulas)
    at_each_site(drop_unit_reduction, graph, x)
    everywhere(drop_unit_reduction, graph, x)


def test_a_reduction_over_more_than_one_element_stays() -> None:
    formulas = [
        lambda m, x: x.sum(2),
        lambda m, x: x.mean((1, 2)),
        lambda m, x: x.softmax(2),
        lambda m, x: x.max(2).values,
        lambda m, x: x.std(1),
        lambda m, x: x.sum(),
        lambda m, x: torch.maximum(x, x + 1),
    ]  # fmt: skip
    never(drop_unit_reduction, captured_together(formulas, (4, 1, 5)))


SHIFTED = [
    lambda m, x: m.fc(x) * 2,
    lambda m, x: 2.5 - m.fc(x),
    lambda m, x: m.fc(x) / 3 + 1,
    lambda m, x: -m.fc(x),
    lambda m, x: torch.add(m.gain, m.fc(x), alpha=3),
    lambda m, x: torch.sub(m.gain, m.fc(x), alpha=3),
    lambda m, x: torch.sub(m.fc(x), m.gain, alpha=3),
    lambda m, x: m.gain[None] * m.fc(x) - m.one,
    lambda m, x: m.fc(x) / m.gain.exp(),
    lambda m, x: m.norm(m.fc(x)),
    lambda m, x: m.bare(x) + m.gain,
    lambda m, x: m.bare(x) * m.one + 3,
    lambda m, x: 3 - m.bare(x),
    lambda m, x: m.norm(m.bare(x)),
]


def test_scales_and_shifts_fold_into_the_linear_layer() -> None:
    parts = {"fc": nn.Linear(6, 3), "bare": nn.Linear(6, 3, bias=False), "norm": nn.BatchNorm1d(3).eval()}
    graph = captured_together(SHIFTED, (32, 6), **parts, gain=torch.ones(3), one=torch.ones(1))
    assert len(at_each_site(fold_scale, graph, *random_inputs((32, 6)))) == len(SHIFTED)
    new = everywhere(fold_scale, graph, *random_inputs((32, 6)))
    assert all(node.target is aten.linear.default for node in outputs(new.graph))
    assert {"fc", "bare"} <= {node.name for node in outputs(new.graph)}


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, bias=False), nn.ConvTranspose2d(3, 4, 3)]
)
def test_scales_and_batch_norm_fold_into_the_convolution(layer: nn.Module) -> None:
    parts = {"conv": layer, "norm": nn.BatchNorm2d(4).eval(), "plain": nn.BatchNorm2d(4, affine=False).eval(),
             "gain": torch.ones(4, 1, 1), "shift": torch.ones(1, 4, 1, 1)}  # fmt: skip
    graph = captured(lambda m, x: m.plain(m.norm(m.conv(x) * m.gain + m.shift) * 2), (4, 3, 8, 8), **parts)
    new = everywhere(fold_scale, graph, *random_inputs((4, 3, 8, 8)))
    assert [node.name for node in outputs(new.graph)] == ["conv"]


def test_a_scale_folds_into_the_smaller_factor() -> None:
    formulas = [
        lambda m, a, b: (a @ b.mT) * 0.5,
        lambda m, a, b: torch.bmm(a, b.mT) / 8,
        lambda m, a, b: -(a @ b[0].T),
        lambda m, a, b: (a @ b[0].T) * m.gain,
    ]  # fmt: skip
    inputs = random_inputs((3, 16, 4), (3, 12, 4))
    graph = captured_together(formulas, (3, 16, 4), (3, 12, 4), gain=torch.ones(12))
    assert len(at_each_site(fold_scale, graph, *inputs)) == len(formulas)
    everywhere(fold_scale, graph, *inputs)


def test_a_scale_stays_where_folding_is_wrong_or_useless() -> None:
    formulas = [
        lambda m, x: ((y := m.fc(x)) * 2, y),
        lambda m, x: m.fc(x) * 0,
        lambda m, x: m.fc(x) / float("nan"),
        lambda m, x: 1 / m.fc(x),
        lambda m, x: m.fc(x) * x[:, :1],
        lambda m, x: m.fc(x) * m.column,
        lambda m, x: m.fc(x) * m.gain.double(),
        lambda m, x: m.fc(x)[:, None] * m.column,
        lambda m, x: torch.div(m.fc(x), 2, rounding_mode="floor"),
        lambda m, x: m.fc(x[:2]) * 2,
        lambda m, x: m.fc(x) * m.fc(x),
        lambda m, x: m.live(m.fc(x)),
        lambda m, x: m.norm(m.fc(x[None])),
        lambda m, x: m.conv(x.T[None]) * m.along,
        lambda m, x: m.grouped(x.T[None]) * m.column[:2],
        lambda m, x: (x @ x.T) + 1,
    ]  # fmt: skip
    parts = {"fc": nn.Linear(6, 3), "live": nn.BatchNorm1d(3).train(), "norm": nn.BatchNorm1d(32).eval(),
             "conv": nn.Conv1d(6, 2, 1), "grouped": nn.ConvTranspose1d(6, 2, 1, groups=2),
             "gain": torch.ones(3), "column": torch.ones(32, 1), "along": torch.ones(32)}  # fmt: skip
    never(fold_scale, captured_together(formulas, (32, 6), **parts))
