"""The numeric rule on tensors, against a slow statement of it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from kernelwright.judge.numerics import EPS32, SHORTEST_ROW, TILE, WEAKEST, allowed, deviation, floor, rows
from kernelwright.judge.reductions import LongestReduction


def slow_error(got: Tensor, wanted: Tensor) -> float:
    """Row by row in Python, for finite values."""
    weakest = WEAKEST * wanted.double().abs().max().item()
    worst = 0.0
    if wanted.dim() >= 2 and wanted.shape[-1] >= SHORTEST_ROW:
        pieces = zip(got.flatten(0, -2), wanted.flatten(0, -2), strict=True)
    else:
        pieces = zip(got.flatten().split(TILE), wanted.flatten().split(TILE), strict=True)
    for ours, theirs in pieces:
        magnitude = max(theirs.double().abs().max().item(), weakest)
        worst = max(worst, (ours.double() - theirs.double()).abs().max().item() / magnitude)
    return worst


@pytest.mark.parametrize("shape", [(), (1,), (63,), (64,), (1000,), (7, 5), (300, 1), (3, 4, 32), (2, 3, 1000)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_error_is_what_the_slow_statement_says(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    wanted = torch.randn(shape, dtype=torch.float64)
    got = (wanted * (1 + 1e-3 * torch.randn(shape))).to(dtype)
    assert deviation(got, wanted).error == pytest.approx(slow_error(got, wanted), rel=1e-12)


def test_an_error_is_found_in_any_chunk() -> None:
    wanted = torch.ones(3000, 300)
    for row in (0, 1500, 2999):
        got = wanted.clone()
        got[row, 123] = 1.5
        found = deviation(got, wanted)
        assert (found.error, found.at, found.got, found.wanted) == (0.5, (row, 123), 1.5, 1.0)


def test_one_zeroed_row_in_8192_is_seen() -> None:
    wanted = torch.randn(8192, 64, dtype=torch.float64)
    got = wanted.float()
    got[4711] = 0
    found = deviation(got, wanted)
    assert found.error == 1.0
    assert found.at[0] == 4711
    assert torch.linalg.norm(got - wanted) / torch.linalg.norm(wanted) < 0.02  # where a global norm looks harmless


def test_one_zeroed_tile_of_a_vector_is_seen() -> None:
    wanted = torch.randn(100_000)
    got = wanted.clone()
    got[TILE * 5 : TILE * 6] = 0
    assert deviation(got, wanted).error == 1.0


def test_a_zeroed_row_is_seen_even_where_the_row_is_weak() -> None:
    wanted = torch.ones(64, 64)
    wanted[3] = 1e-5
    got = wanted.clone()
    got[3] = 0
    assert deviation(got, wanted).error > allowed(floor(torch.float32, 1024), 0.0)


def test_a_weak_row_is_not_held_to_its_own_magnitude() -> None:
    wanted = torch.ones(64, 64)
    wanted[3] = 1e-9
    got = wanted.clone()
    got[3] = 2e-9
    assert deviation(got, wanted).error < floor(torch.float32, 1)


def test_all_zeros_are_exact_or_infinitely_wrong() -> None:
    zeros = torch.zeros(4, 64)
    assert deviation(zeros, zeros).error == 0
    assert deviation(zeros + 1e-30, zeros).error == math.inf


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stands_where_it_should(value: float) -> None:
    wanted = torch.ones(4, 64)
    wanted[2, 7] = value
    assert deviation(wanted.clone(), wanted).error == 0
    finite = deviation(torch.ones(4, 64), wanted)
    assert (finite.error, finite.at) == (math.inf, (2, 7))
    assert deviation(wanted, torch.ones(4, 64)).error == math.inf
    moved = wanted.roll(1, 0)
    assert deviation(moved, wanted).error == math.inf


def test_the_infinities_are_not_each_other_and_not_nan() -> None:
    wanted = torch.tensor([1.0, math.inf])
    assert deviation(torch.tensor([1.0, -math.inf]), wanted).error == math.inf
    assert deviation(torch.tensor([1.0, math.nan]), wanted).error == math.inf


def test_finite_values_beside_a_nan_are_still_compared() -> None:
    wanted = torch.ones(4, 64)
    wanted[2, 7] = math.nan
    got = wanted.clone()
    got[2, 8] = 2.0
    assert deviation(got, wanted).error == 1.0


def test_an_overflow_of_float32_is_expected_where_the_oracle_is_beyond_it() -> None:
    wanted = torch.tensor([1.0, 1e60], dtype=torch.float64)
    assert deviation(torch.tensor([1.0, math.inf]), wanted).error == 0


def test_where_pytorch_and_the_oracle_disagree_about_infinity_nothing_is_said() -> None:
    wanted = torch.tensor([1.0, 3e38], dtype=torch.float64)
    pytorch = torch.tensor([1.0, math.inf])
    assert deviation(torch.tensor([1.0, 3e38]), wanted, pytorch).error == 0
    assert deviation(pytorch, wanted, pytorch).error == 0


def test_integers_are_exact_and_ties_may_go_either_way() -> None:
    wanted, pytorch = torch.tensor([3, 5, 7]), torch.tensor([3, 6, 7])
    assert deviation(wanted, wanted, pytorch).error == 0
    assert deviation(pytorch, wanted, pytorch).error == 0
    found = deviation(torch.tensor([3, 5, 8]), wanted, pytorch)
    assert (found.error, found.at, found.got, found.wanted) == (math.inf, (2,), 8, 7)


def test_an_empty_output_is_right() -> None:
    assert deviation(torch.empty(0, 64), torch.empty(0, 64)).error == 0


def test_rows_keep_every_value() -> None:
    values = torch.arange(130.0)
    assert rows(values).shape == (3, 64)
    assert rows(values).flatten()[:130].equal(values)
    assert rows(torch.ones(5, 6, 33)).shape == (30, 33)


def test_the_rule_by_hand() -> None:
    least = floor(torch.float32, 1024)
    assert least == 2 * EPS32 + 8 * EPS32 * 32
    assert allowed(least, 0.0) == least
    assert allowed(least, least / 2) == 2 * least
    assert allowed(least, least * 5) == 16 * least
    assert allowed(least, least * 100) == 200 * least  # PyTorch itself must pass
    assert floor(torch.float32, 10**9) == 2 * EPS32 + 8 * EPS32 * 128
    assert floor(torch.int64, 9) == 0
    assert floor(torch.float64, 100) < 1e-13


def length(model: nn.Module, *inputs: Tensor) -> int:
    with torch.no_grad(), LongestReduction() as watch:
        model(*inputs)
    return watch.length


class Call(nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> object:
        return self.function(*inputs)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("model", "shape", "terms"),
    [
        (nn.Linear(300, 5), (7, 300), 300),
        (nn.Conv2d(4, 6, 3), (2, 4, 9, 9), 36),
        (nn.Conv2d(4, 8, 3, groups=4), (2, 4, 9, 9), 9),
        (nn.ConvTranspose2d(4, 6, 3), (2, 4, 9, 9), 36),
        (nn.LayerNorm(50), (7, 50), 50),
        (nn.BatchNorm2d(3), (2, 3, 5, 5), 50),
        (nn.Softmax(1), (7, 90), 90),
        (nn.GELU(), (7, 90), 1),
        (Call(lambda x: x.sum()), (7, 90), 630),
        (Call(lambda x: x.mean(0)), (7, 90), 7),
        (Call(lambda x: x.cumsum(1)), (7, 90), 90),
        (Call(lambda x: x.logsumexp(1)), (7, 90), 90),
        (Call(lambda x: x[:, 3].exp()), (7, 90), 1),
        (Call(lambda x: x.argmax(1)), (7, 90), 1),
        (Call(lambda x: x @ x.t()), (7, 90), 90),
    ],
)
def test_the_longest_sum_is_counted(model: nn.Module, shape: tuple[int, ...], terms: int) -> None:
    assert length(model, torch.randn(shape)) == terms


def test_attention_sums_over_the_keys() -> None:
    query, key = torch.randn(2, 2, 10, 8), torch.randn(2, 2, 700, 8)
    assert length(Call(nn.functional.scaled_dot_product_attention), query, key, key) == 700
