"""matmul, run against float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn, randn

from kernelwright.kernels import matmul
from tests.kernels_at_work import check, check_all, written

torch.manual_seed(0)  # rows of few elements may cancel to anything


class Linear(nn.Module):
    """A linear layer and what comes after it."""

    def __init__(
        self, features: int, out_features: int, after: Callable[..., Any] = lambda y: y, bias: bool = True
    ) -> None:
        super().__init__()
        self.fc = nn.Linear(features, out_features, bias)
        self.after = after

    def forward(self, x: torch.Tensor, *rest: torch.Tensor) -> Any:
        return self.after(self.fc(x), *rest)


FORMS: dict[str, tuple[Callable[..., Any], tuple[torch.Tensor, ...]]] = {
    "linear": (Linear(33, 65), (randn(20, 33),)),
    "without bias": (Linear(33, 65, bias=False), (randn(20, 33),)),
    "over three dimensions": (Linear(64, 128), (randn(4, 37, 64),)),
    "mm": (torch.mm, (randn(50, 30), randn(30, 70))),
    "transposed left": (lambda x, w: x.t() @ w, (randn(30, 50), randn(30, 70))),
    "transposed right": (lambda x, w: x @ w.t(), (randn(50, 30), randn(70, 30))),
    "sliced": (lambda x, w: x[:, ::2] @ w[5:20], (randn(50, 30), randn(30, 70))),
    "bmm": (torch.bmm, (randn(3, 17, 40), randn(3, 40, 50))),
    "bmm, transposed": (lambda a, b: a @ b.transpose(-1, -2), (randn(2, 3, 17, 40), randn(2, 3, 50, 40))),
    "one right for all": (lambda a, b: a @ b, (randn(3, 17, 40), randn(40, 50))),
    "one left for all": (lambda a, b: a @ b, (randn(17, 40), randn(3, 40, 50))),
    "addmm": (lambda b, x, w: torch.addmm(b, x, w, beta=0.5, alpha=2.0), (randn(70), randn(50, 30), randn(30, 70))),
    "addmm without its first": (
        lambda b, x, w: torch.addmm(b, x, w, beta=0.0),
        (randn(70), randn(50, 30), randn(30, 70)),
    ),
    "baddbmm": (torch.baddbmm, (randn(4, 50, 70), randn(4, 50, 30), randn(4, 30, 70))),
    "einsum": (lambda a, b: torch.einsum("bik,bjk->bij", a, b), (randn(3, 17, 40), randn(3, 20, 40))),
    "one depth": (torch.mm, (randn(50, 1), randn(1, 70))),
    "a square with itself": (lambda x: x @ x, (randn(40, 40),)),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms(name: str) -> None:
    function, inputs = FORMS[name]
    check(matmul, function, *inputs, length=64)


SIDES = [(1, 1, 1), (1, 40, 300), (8, 33, 257), (200, 3, 300), (29, 33, 300)]


@pytest.mark.parametrize("sides", SIDES, ids=str)
@pytest.mark.parametrize("along_depth", [True, False], ids=["weights by row", "weights by column"])
def test_sides_that_no_tile_divides(sides: tuple[int, int, int], along_depth: bool) -> None:
    rows, columns, depth = sides
    weight = randn(columns, depth).t() if along_depth else randn(depth, columns)
    check(matmul, lambda x, w: (x @ w).abs() + 1, randn(rows, depth), weight, length=depth)
    check(matmul, lambda x, w: (x @ w).abs() + 1, randn(rows, depth), weight, parameters=(), length=depth)


AROUND: dict[str, tuple[Callable[..., Any], tuple[torch.Tensor, ...]]] = {
    "gelu": (Linear(64, 80, F.gelu), (randn(37, 64),)),
    "residual and gate": (Linear(64, 80, lambda y, r: F.silu(y) * r + r), (randn(37, 64), randn(37, 80))),
    "a column of scales": (Linear(64, 80, lambda y, r: y * r), (randn(37, 64), randn(37, 1))),
    "two outputs": (Linear(64, 80, lambda y: (y, F.gelu(y), y > 0)), (randn(37, 64),)),
    "work before": (lambda x, w: (F.relu(x) + 1) @ (w * 0.5).t(), (randn(37, 64), randn(80, 64))),
    "heads after": (Linear(64, 64, lambda y: y.view(2, 20, 4, 16).transpose(1, 2) * 1.5), (randn(2, 20, 64),)),
    "heads before": (
        lambda q, k: (q.view(2, 20, 4, 16).transpose(1, 2) @ k.view(2, 20, 4, 16).permute(0, 2, 3, 1)) / 4,
        (randn(2, 20, 64), randn(2, 20, 64)),
    ),
    "a triangle of it": (lambda a, b: torch.tril(a @ b), (randn(3, 33, 20), randn(3, 20, 33))),
    "the bias is an operand too": (lambda x: torch.addmm(x, x, x), (randn(32, 32),)),
}


@pytest.mark.parametrize("name", AROUND)
def test_pointwise_work_around_a_product(name: str) -> None:
    function, inputs = AROUND[name]
    check(matmul, function, *inputs, length=64)


PACKS = ["left", "right", "both", "none"]


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("tile", [(14, 2), (5, 1), (1, 2), (4, 3)], ids=str)
def test_every_tile_and_pack(tile: tuple[int, int], pack: str) -> None:
    """Blocks that are smaller than each side, so that every loop turns more than once."""
    cut = {
        "row_block": 32,
        "column_block": 48,
        "depth_block": 40,
        "pack": pack,
        "tile_rows": tile[0],
        "tile_columns": tile[1],
    }
    check(
        matmul,
        lambda a, b: a @ b.transpose(-1, -2),
        randn(2, 47, 101),
        randn(2, 111, 101),
        parameters=tuple(cut.items()),
        length=101,
    )


def test_a_large_product_keeps_its_accuracy() -> None:
    check_all(matmul, Linear(2048, 300, F.relu), randn(200, 2048), length=2048)


def test_outputs_lie_as_pytorch_lays_them() -> None:
    kernel = written(matmul, lambda x, w: (x @ w).transpose(0, 1) * 2, [randn(30, 20), randn(20, 40)])
    assert kernel.outputs[0].spec.strides == (1, 40)
    check(matmul, lambda x, w: (x @ w).transpose(0, 1) * 2, randn(30, 20), randn(20, 40), length=20)


@settings(max_examples=8, deadline=None)
@given(rows=st.integers(1, 70), columns=st.integers(1, 70), depth=st.integers(1, 300), batches=st.integers(1, 3))
def test_any_sides(rows: int, columns: int, depth: int, batches: int) -> None:
    left, right = randn(batches, rows, depth).abs(), randn(batches, depth, columns).abs()  # nothing cancels
    check(matmul, lambda a, b: F.silu(a @ b), left, right, length=depth)
