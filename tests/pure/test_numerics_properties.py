"""Honest ways to compute the same are accepted, wrong ones refused, over many shapes and dtypes.

What is allowed is measured as the judge does: on PyTorch's own result, against float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernelwright.judge.numerics import allowed, deviation, floor

FEW = settings(derandomize=True, max_examples=20, deadline=None, database=None)
DTYPES = st.sampled_from([torch.float32, torch.float16, torch.bfloat16])
DRAWS: dict[str, Callable[..., Tensor]] = {
    "normal": torch.randn,
    "positive": torch.rand,
    "far from zero": lambda *shape: torch.rand(*shape) + 4,
    "spiky": lambda *shape: torch.randn(*shape) * torch.rand(*shape).pow(8),
}
Compute = Callable[..., Tensor]


@st.composite
def matrices(draw: st.DrawFn, longest: int = 600) -> Tensor:
    rows, columns = draw(st.integers(1, 40)), draw(st.integers(2, longest))
    torch.manual_seed(draw(st.integers(0, 2**31)))
    return DRAWS[draw(st.sampled_from(sorted(DRAWS)))](rows, columns).to(draw(DTYPES))


def passes(got: Tensor, pytorch: Tensor, truth: Tensor, length: int) -> bool:
    own = deviation(pytorch, truth, pytorch).error
    return deviation(got.to(pytorch.dtype), truth, pytorch).error <= allowed(floor(pytorch.dtype, length), own)


def one_by_one(terms: Tensor) -> Tensor:
    """The plainest sum along the last dimension, in float32."""
    total = torch.zeros(terms.shape[:-1])
    for term in terms.float().unbind(-1):
        total = total + term
    return total


def pairwise(terms: Tensor) -> Tensor:
    if terms.shape[-1] < 3:
        return one_by_one(terms)
    half = terms.shape[-1] // 2
    return pairwise(terms[..., :half]) + pairwise(terms[..., half:])


def fused(left: Tensor, right: Tensor) -> Tensor:
    """A sum of products, each added with one rounding, as fused multiply-add does."""
    total = torch.zeros(left.shape[:-1])
    for one, other in zip(left.double().unbind(-1), right.double().unbind(-1), strict=True):
        total = (total.double() + one * other).float()
    return total


SUMS: dict[str, Compute] = {
    "one by one": one_by_one,
    "from the other end": lambda x: one_by_one(x.flip(-1)),
    "in pairs": pairwise,
    "in chunks of 16": lambda x: one_by_one(torch.stack([one_by_one(part) for part in x.split(16, -1)], -1)),
    "in 8 lanes": lambda x: one_by_one(torch.stack([one_by_one(x[..., lane::8]) for lane in range(8)], -1)),
}


@pytest.mark.parametrize("order", SUMS)
@FEW
@given(matrices())
def test_a_sum_may_be_taken_in_any_order(order: str, x: Tensor) -> None:
    assert passes(SUMS[order](x), x.sum(-1), x.double().sum(-1), x.shape[-1])


@pytest.mark.parametrize("order", SUMS)
@FEW
@given(matrices(200), st.integers(1, 12))
def test_products_may_be_summed_in_any_order(order: str, x: Tensor, width: int) -> None:
    weight = torch.randn(width, x.shape[1]).to(x.dtype)
    terms = x.float()[:, None, :] * weight.float()
    assert passes(SUMS[order](terms), x @ weight.t(), x.double() @ weight.double().t(), x.shape[1])


@FEW
@given(matrices(200), st.integers(1, 12))
def test_products_may_be_fused(x: Tensor, width: int) -> None:
    weight = torch.randn(width, x.shape[1]).to(x.dtype)
    got = fused(x[:, None, :].expand(-1, width, -1), weight.expand(x.shape[0], -1, -1))
    assert passes(got, x @ weight.t(), x.double() @ weight.double().t(), x.shape[1])


def online_softmax(x: Tensor) -> Tensor:
    """Maximum and sum in one pass, the sum rescaled whenever the maximum grows."""
    best, total = torch.full(x.shape[:1], -math.inf), torch.zeros(x.shape[0])
    for value in x.float().unbind(-1):
        larger = torch.maximum(best, value)
        total = total * (best - larger).exp() + (value - larger).exp()
        best = larger
    return (x.float() - best[:, None]).exp() / total[:, None]


@FEW
@given(matrices())
def test_a_softmax_may_be_online(x: Tensor) -> None:
    assert passes(online_softmax(x), x.softmax(-1), x.double().softmax(-1), x.shape[1])


def welford(x: Tensor) -> Tensor:
    """A layer norm whose mean and variance come from one pass."""
    mean, squares = torch.zeros(x.shape[0]), torch.zeros(x.shape[0])
    for count, value in enumerate(x.float().unbind(-1), start=1):
        apart = value - mean
        mean = mean + apart / count
        squares = squares + apart * (value - mean)
    return (x.float() - mean[:, None]) * (squares / x.shape[1] + 1e-5).rsqrt()[:, None]


@FEW
@given(matrices())
def test_a_norm_may_be_welfords(x: Tensor) -> None:
    shape = x.shape[1:]
    assert passes(
        welford(x),
        torch.nn.functional.layer_norm(x, shape),
        torch.nn.functional.layer_norm(x.double(), shape),
        x.shape[1],
    )


@FEW
@given(matrices(), st.integers(-1000, 1000))
def test_whole_numbers_are_exact_in_any_order_and_nothing_else_is(x: Tensor, added: int) -> None:
    whole = (x.float() * 100).round().long()
    total = whole.sum(-1)
    assert passes(whole.flip(-1).cumsum(-1)[..., -1], total, total, x.shape[1])
    assert passes(total + added, total, total, x.shape[1]) == (added == 0)


WRONG: dict[str, Compute] = {
    "without the last column": lambda x, w: x[:, :-1] @ w[:, :-1].t(),
    "with the first column twice": lambda x, w: torch.cat((x, x[:, :1]), 1) @ torch.cat((w, w[:, :1]), 1).t(),
    "rows in another order": lambda x, w: (x @ w.t()).roll(1, 0),
    "columns in another order": lambda x, w: (x @ w.t()).roll(1, 1),
    "summed in bfloat16": lambda x, w: (x.bfloat16() @ w.bfloat16().t()).float(),
    "scaled by a thousandth more": lambda x, w: (x @ w.t()) * 1.001,
}


@pytest.mark.parametrize("way", WRONG)
@FEW
@given(st.integers(2, 40), st.integers(4, 400), st.integers(2, 40), st.integers(0, 2**31))
def test_a_wrong_product_is_refused(way: str, rows: int, length: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    x, weight = torch.randn(rows, length), torch.randn(width, length)
    assert not passes(WRONG[way](x, weight), x @ weight.t(), x.double() @ weight.double().t(), length)


@FEW
@given(st.integers(2, 64), st.integers(2, 64), st.integers(0, 2**31))
def test_a_softmax_along_the_wrong_dimension_is_refused(rows: int, columns: int, seed: int) -> None:
    torch.manual_seed(seed)
    x = torch.randn(rows, columns)
    assert not passes(x.softmax(0), x.softmax(1), x.double().softmax(1), columns)


@FEW
@given(st.integers(2, 4000), st.integers(1, 400), st.integers(0, 2**31), st.data())
def test_one_element_off_by_more_than_is_allowed_is_found_wherever_it_is(
    rows: int, columns: int, seed: int, data: st.DataObject
) -> None:
    torch.manual_seed(seed)
    truth = torch.rand(rows, columns) + 0.5
    place = data.draw(st.integers(0, truth.numel() - 1))
    got = truth.clone().flatten()
    got[place] += 2 * floor(torch.float32, columns) * 1.5
    found = deviation(got.view(rows, columns), truth)
    assert found.error > floor(torch.float32, columns)
    assert found.at == divmod(place, columns)
