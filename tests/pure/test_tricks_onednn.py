"""Linear layers and convolutions by oneDNN's kernels."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kernelwright.tricks import onednn
from kernelwright.tricks.channels_last import channels_last
from kernelwright.tricks.convolution_by_onednn import convolution_by_onednn
from kernelwright.tricks.linear_by_onednn import linear_by_onednn
from tests.pure.rewriting import at_each_site, calls, captured, captured_together, everywhere, never, random_inputs

HAS_ONEDNN = torch.backends.mkldnn.is_available()
needs_onednn = pytest.mark.skipif(not HAS_ONEDNN, reason="this PyTorch has no oneDNN")

TAILS = [
    lambda y: y,
    F.gelu,
    lambda y: F.gelu(y, approximate="tanh"),
    F.silu,
    torch.sigmoid,
    torch.tanh,
    F.hardswish,
    lambda y: F.leaky_relu(y, 0.3),
    F.relu,
    lambda y: y.tanh() * y,
]


@needs_onednn
def test_linear_layers_and_their_tails_keep_their_values_and_nan() -> None:
    (x,) = random_inputs((3, 5, 6))
    x[0, 0, 0], x[1, 2, 3] = float("nan"), float("inf")
    formulas = [lambda m, x, tail=tail: tail(m.fc(x)) for tail in TAILS]
    graph = captured_together(formulas, (3, 5, 6), fc=nn.Linear(6, 4))
    (new,) = at_each_site(linear_by_onednn, graph, x)
    assert len(calls(new, torch.ops.mkldnn._linear_pointwise)) == len(formulas)


@needs_onednn
def test_products_with_a_matrix_and_odd_strides_are_right() -> None:
    formulas = [
        lambda m, x: x @ m.table,
        lambda m, x: x.mT[:, ::2] @ m.table[:5],
        lambda m, x: F.linear(x[:, 1:4], m.table[:4, ::2].T[:, :1].expand(2, 6)),
        lambda m, x: m.bare(x[0, 0]).exp(),
        lambda m, x: m.bare(x.transpose(0, 1)),
        lambda m, x: x[0] @ x[1].T,
    ]
    graph = captured_together(formulas, (3, 5, 6), table=torch.ones(6, 4), bare=nn.Linear(6, 4, bias=False))
    assert len(at_each_site(linear_by_onednn, graph, *random_inputs((3, 5, 6)))) == len(formulas) - 1
    new = everywhere(linear_by_onednn, graph, *random_inputs((3, 5, 6)))
    assert len(calls(new, torch.ops.mkldnn._linear_pointwise)) == len(formulas)


def test_other_products_stay() -> None:
    formulas = [
        lambda m, x: x @ x.mT,
        lambda m, x: F.linear(x.double(), torch.ones(4, 6, dtype=torch.float64)),
        lambda m, x: x @ m.table[:, 0],
        lambda m, x: x.half() @ m.table.half(),
        lambda m, x: x[0, 0] @ x.mT,
    ]
    never(linear_by_onednn, captured_together(formulas, (3, 5, 6), table=torch.ones(6, 4)))


@needs_onednn
def test_convolutions_with_channels_last_take_their_tails() -> None:
    formulas = [lambda m, x, tail=tail: tail(m.conv(x)) for tail in TAILS[1:8]]
    formulas += [lambda m, x: F.silu(m.grouped(x)), lambda m, x: torch.tanh(m.deep(x[:, :, None]))]
    parts = {"conv": nn.Conv2d(4, 6, 3), "grouped": nn.Conv2d(4, 6, (3, 2), 2, (1, 0), 1, 2, bias=False),
             "deep": nn.Conv3d(4, 2, (1, 3, 3))}  # fmt: skip
    graph = captured_together(formulas, (2, 4, 8, 9), **parts)
    never(convolution_by_onednn, graph)
    last = everywhere(channels_last, graph, *random_inputs((2, 4, 8, 9)))
    assert len(at_each_site(convolution_by_onednn, last, *random_inputs((2, 4, 8, 9)))) == len(formulas)
    everywhere(convolution_by_onednn, last, *random_inputs((2, 4, 8, 9)))


def test_convolutions_without_a_fitting_tail_stay() -> None:
    formulas = [
        lambda m, x: m.conv(x),
        lambda m, x: m.conv(x).relu(),
        lambda m, x: (y := m.conv(x)).tanh() + y,
        lambda m, x: torch.tanh(m.conv(x[0])),
        lambda m, x: torch.tanh(m.up(x)),
        lambda m, x: torch.tanh(m.same(x)),
        lambda m, x: m.conv(x).exp(),
    ]
    parts = {"conv": nn.Conv2d(4, 6, 3), "up": nn.ConvTranspose2d(4, 6, 3), "same": nn.Conv2d(4, 6, 3, padding="same")}
    graph = captured_together(formulas, (2, 4, 8, 9), **parts)
    never(convolution_by_onednn, everywhere(channels_last, graph, *random_inputs((2, 4, 8, 9))))


def test_without_onednn_nothing_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = captured(
        lambda m, x: torch.tanh(m.conv(x)) + m.fc(x).sum(), (2, 4, 8, 9), conv=nn.Conv2d(4, 4, 1), fc=nn.Linear(9, 2)
    )
    monkeypatch.setattr(onednn.torch.backends.mkldnn, "is_available", lambda: False)
    never(linear_by_onednn, graph)
    never(convolution_by_onednn, graph)
