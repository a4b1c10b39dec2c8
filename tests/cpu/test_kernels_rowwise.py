"""rowwise, run against float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn, randn

from kernelwright.kernels import rowwise
from tests.kernels_at_work import built, check, check_all, run, whole, written
from tests.kernels_at_work import given as tensors_of

torch.manual_seed(0)  # rows of few elements may cancel to anything

CALLS: dict[str, Callable[..., Any]] = {
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "logsumexp": lambda x: x.logsumexp(-1),
    "layer_norm": lambda x: F.layer_norm(x, x.shape[-1:]),
    "rms_norm": lambda x: F.rms_norm(x, x.shape[-1:]),
    "normalize": lambda x: F.normalize(x, dim=-1),
    "var": lambda x: x.var(-1),
    "var_mean": lambda x: torch.var_mean(x, -1, keepdim=True),
    "amax less amin": lambda x: x.amax(-1) - x.amin(-1),
    "prod": lambda x: (1 + x / 50).prod(-1),
    "count": lambda x: (x > 0).sum(-1),
    "norm": lambda x: x.norm(dim=-1),
    "gelu then softmax, scaled": lambda x: F.softmax(F.gelu(x) * 2, -1) * x,
    "two outputs": lambda x: (x.sum(-1), x.exp()),
    "the row's own mean taken off": lambda x: F.relu(x - x.mean(-1, keepdim=True)),
}


@pytest.mark.parametrize("shape", [(1, 1000), (5, 3, 17)], ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_rows(name: str, shape: tuple[int, ...]) -> None:
    check(rowwise, CALLS[name], randn(shape), length=shape[-1])


OTHER_DIMENSIONS: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "mean over height and width": (lambda x: x.mean((2, 3)), (3, 5, 7, 9)),
    "softmax over channels": (lambda x: F.softmax(x, 1), (3, 50, 7, 9)),
    "sum over the first": (lambda x: x.sum(0), (300, 70)),
    "mean over the middle": (lambda x: x.mean(1), (3, 50, 70)),
    "amax less amin over the middle": (lambda x: x.amax(1) - x.amin(1), (3, 50, 70)),
    "sum over first and last": (lambda x: x.sum((0, 2)), (3, 40, 9)),
    "softmax over the first": (lambda x: F.softmax(x, 0), (33, 1000)),
    "layer norm over channels": (lambda x: F.layer_norm(x.transpose(1, 2), (50,)).transpose(1, 2), (3, 50, 70)),
    "batch statistics": (
        lambda x: (x - x.mean((0, 2, 3), True)) * torch.rsqrt(x.var((0, 2, 3), correction=0, keepdim=True) + 1e-5),
        (4, 5, 7, 9),
    ),
    "groups of channels": (lambda x: x.view(2, 4, 3, 25) - x.view(2, 4, 3, 25).mean((2, 3), True), (2, 12, 25)),
    "a transposed input": (lambda x: F.softmax(x.transpose(0, 1), -1), (20, 30)),
    "a sliced input": (lambda x: F.softmax(x[:, ::2], -1), (20, 30)),
    "a triangle": (lambda x: F.softmax(torch.triu(x), -1), (2, 33, 33)),
}


@pytest.mark.parametrize("name", OTHER_DIMENSIONS)
def test_other_dimensions(name: str) -> None:
    function, shape = OTHER_DIMENSIONS[name]
    check(rowwise, function, randn(shape), length=300)


def test_losses() -> None:
    x, y, target = randn(33, 100), randn(33, 100), torch.randint(0, 100, (33,))
    for loss in (F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.binary_cross_entropy_with_logits):
        check(rowwise, loss, x, y.sigmoid(), length=3300)
    check(rowwise, F.cross_entropy, x, target, length=100)
    check(rowwise, lambda x, t: F.cross_entropy(x, t, ignore_index=3), x[:, :5].clone(), target % 5, length=100)
    check(rowwise, lambda x, t: F.nll_loss(F.log_softmax(x, 1), t, reduction="sum"), x, target, length=100)
    check(rowwise, lambda x, y: F.cosine_similarity(x, y, -1), x, y, length=100)


def test_a_norm_with_weights() -> None:
    norm = nn.LayerNorm(70)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    check(rowwise, norm, randn(9, 70), length=70)


def test_a_masked_softmax_with_rows_that_are_masked_whole() -> None:
    mask = randn(9, 33) > 0
    mask[4] = True
    check_all(rowwise, lambda x, m: F.softmax(x.masked_fill(m, -math.inf), -1), randn(4, 9, 33), mask, length=33)


@pytest.mark.parametrize("shape", [(3, 17_000), (1, 70_001)], ids=str)
def test_long_rows_in_every_form(shape: tuple[int, int]) -> None:
    check_all(rowwise, lambda x: F.softmax(x, -1), randn(shape), length=shape[1])
    check_all(rowwise, lambda x: F.layer_norm(x, shape[1:]), randn(shape), length=shape[1])
    check_all(rowwise, lambda x: x.exp().sum(), randn(shape), length=shape[0] * shape[1])


def test_an_expensive_value_is_computed_once_and_kept() -> None:
    short, long = (
        written(rowwise, CALLS["softmax"], [randn(9, 100)]),
        written(rowwise, CALLS["softmax"], [randn(9, 20_000)]),
    )
    assert short.source.count(" exp(") == 1
    assert "float kept_softmax_exp[100];" in short.source
    assert long.source.count(" exp(") == 1  # in the output's own memory
    assert "kept" not in long.source


def test_streamed_rows() -> None:
    check(
        rowwise, CALLS["layer_norm"], randn(90, 1024), parameters=(("keep", "nothing"), ("stream", True)), length=1024
    )


def test_sums_of_many_equal_numbers_do_not_drift() -> None:
    """Repeated rounding in one direction: the blocks keep it within the rule."""
    check_all(rowwise, lambda x: x.sum(-1), torch.full((2, 200_000), 0.1), length=200_000)


def test_the_same_input_gives_the_same_bits() -> None:
    inputs = [randn(1, 200_000)]
    graph, _ = whole(rowwise, CALLS["softmax"], inputs)
    kernel = written(rowwise, CALLS["softmax"], inputs)
    call = built(kernel)
    first, second = (run(kernel, call, tensors_of(graph, inputs)) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_any_dimensions_of_any_shape(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.sampled_from([2, 3, 5, 16, 19]), min_size=1, max_size=4))
    dims = data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    order = data.draw(st.permutations(range(len(shape))))
    x = randn([shape[d] for d in order]).permute([order.index(d) for d in range(len(shape))])
    check(
        rowwise,
        lambda x: (x - x.amax(tuple(dims), keepdim=True)).exp() + x.sum(tuple(dims), keepdim=True),
        x,
        length=361,
    )
