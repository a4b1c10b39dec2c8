"""map, run against float64."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import randn

from kernelwright.kernels import map as map_
from tests.kernels_at_work import check, check_all

torch.manual_seed(0)  # rows of few elements may cancel to anything

SHAPES = [(), (1,), (15,), (16,), (17,), (1000,), (3, 5), (2, 3, 7, 11), (1, 64, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_one_output_of_any_shape(shape: tuple[int, ...]) -> None:
    check(map_, lambda x: F.gelu(x) + 1, randn(shape))


ACTIVATIONS = {
    "gelu": F.gelu, "gelu by tanh": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu, "mish": F.mish,
    "elu": F.elu, "selu": F.selu, "celu": lambda x: F.celu(x, 1.3), "softplus": F.softplus, "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid, "relu6": F.relu6, "leaky relu": lambda x: F.leaky_relu(x, 0.1),
    "log sigmoid": F.logsigmoid, "soft sign": F.softsign, "tanh shrink": F.tanhshrink, "hard shrink": F.hardshrink,
    "soft shrink": F.softshrink, "threshold": lambda x: F.threshold(x, 0.1, 20.0), "glu": lambda x: F.glu(x, -1),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    check(map_, ACTIVATIONS[name], randn(7, 66) * 4)


ARITHMETIC = {
    "order of evaluation": lambda x: x - (x + 2.5) - (x - (x * 3 - x)) / (x / 7 * 0.1),
    "signs": lambda x: x.neg().neg() - (-2.0 * x) * -x,
    "powers": lambda x: x**2 + x**3 + x**-1 + x.abs() ** 0.5 + x.abs() ** -0.5 + x.abs().pow(1.7),
    "exponentials": lambda x: torch.exp(x) + torch.expm1(x) + torch.exp2(x) + torch.sigmoid(x) + torch.tanh(x),
    "logarithms": lambda x: x.abs().log() + torch.log1p(x.abs()) + x.abs().log2() + x.abs().log10(),
    "angles": lambda x: torch.sin(x) + torch.cos(x) + torch.tan(x * 0.1) + torch.atan(x) + torch.asin(torch.sigmoid(x)),
    "rounding": lambda x: x.floor() + 2 * x.ceil() + 3 * x.round() + 5 * x.trunc() + 7 * x.sign(),
    "fused forms": lambda x: torch.lerp(x, x * 2, 0.3) + torch.addcmul(x, x, x, value=0.5) + torch.rsub(x, 1),
    "bounds": lambda x: x.clamp(-0.5, 0.5) + x.clamp(min=0.1) + x.clamp(max=1) + torch.maximum(x, x * x - 1),
    "choice": lambda x: torch.where((x > 0.2) & ~(x > 0.9) | (x == 0), x, 1.0).masked_fill(x < -1, -3.0),
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic(name: str) -> None:
    check(map_, ARITHMETIC[name], randn(5, 67))


def test_edges_of_float32_stay_what_they_are() -> None:
    x = torch.tensor([0.0, -0.0, math.inf, -math.inf, math.nan, 1e-42, -1e-42, 3e38, -3e38, 88.8, -104.5])
    for function in (torch.exp, torch.tanh, torch.sigmoid, F.relu, torch.sqrt, torch.erf, torch.expm1, torch.log1p):
        check(map_, lambda x, function=function: function(x) * 1.0, x)
    y = x.flip(0)
    check(map_, lambda x, y: (torch.maximum(x, y), torch.minimum(x, y), x.clamp(-1, 1), x != y), x, y)


def test_integers_and_masks() -> None:
    index, mask = torch.randint(-9, 9, (5, 67)), randn(5, 1) > 0
    check(map_, lambda x, index: x * index + (index > 2), randn(5, 67), index)
    check(map_, lambda x, mask: torch.where(mask, x, 0.5 * x) * mask, randn(5, 67), mask)
    check(map_, lambda x: (x > 0, x.isnan(), (x > 1) | (x < 0)), randn(5, 67))
    check(map_, lambda x: x.long() + 3, randn(5, 67) * 9)


def test_counters() -> None:
    check(map_, lambda x: torch.triu(x, 1) + torch.tril(x, -2), randn(2, 33, 35))
    check(map_, lambda x: x * torch.arange(3, 201, 2), randn(4, 99))


LAYOUTS = {
    "a row": (randn(6, 40), randn(40)),
    "a column": (randn(6, 40), randn(6, 1)),
    "one number": (randn(6, 40), randn(1)),
    "channels": (randn(2, 6, 5, 7), randn(6, 1, 1)),
    "both broadcast": (randn(6, 1, 40), randn(1, 5, 40)),
    "transposed": (randn(40, 33), randn(33, 40).t()),
    "a slice": (randn(6, 40), randn(12, 80)[::2, 10:50]),
    "expanded": (randn(6, 40), randn(6, 1).expand(6, 40)),
    "channels last": (randn(2, 6, 5, 7).to(memory_format=torch.channels_last), randn(6, 1, 1)),
    "permuted": (randn(3, 4, 5).permute(2, 0, 1), randn(5, 3, 4)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_broadcasts_and_strides(name: str) -> None:
    check(map_, lambda x, y: F.silu(x * y) + y, *LAYOUTS[name])


VIEWS = {
    "slice of the input": lambda x: F.mish(x[:, 2:7]),
    "select": lambda x: x[3] * 2,
    "transpose in the middle": lambda x: F.silu(x).transpose(0, 1) * 2,
    "reshape in the middle": lambda x: F.silu(x).view(4, 5, 6) + torch.ones(6),
    "expand in the middle": lambda x: (x * 2).unsqueeze(1).expand(20, 3, 6) + 1,
    "reshape of a transposed": lambda x: x.t().reshape(60, 2) * 3,
}


@pytest.mark.parametrize("name", VIEWS)
def test_views(name: str) -> None:
    check(map_, VIEWS[name], randn(20, 6))


def test_outputs_keep_the_strides_that_pytorch_gives_them() -> None:
    x = randn(2, 6, 5, 7).to(memory_format=torch.channels_last)
    kernel = check(map_, lambda x: F.relu(x) * 2, x)
    assert kernel.outputs[0].spec.strides == x.stride()


def test_every_choice_of_parameters_on_an_output_that_is_split_among_threads() -> None:
    check_all(map_, lambda x, y: F.relu(x * y + 1), randn(1100, 1031), randn(1031))
    check(map_, lambda x: x + 1, randn(70_001), parameters=(("block", 1024), ("stream", True)))


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_any_broadcast_of_any_shapes(data: st.DataObject) -> None:
    """Shapes of 1, small and prime numbers; each operand has some of the dimensions, in an order of its own."""
    shape = data.draw(st.lists(st.sampled_from([1, 2, 3, 7, 16, 19]), min_size=1, max_size=4))
    operands = []
    for _ in range(3):
        own = [extent if data.draw(st.booleans()) else 1 for extent in shape]
        order = data.draw(st.permutations(range(len(shape))))
        operands.append(randn([own[d] for d in order]).permute([order.index(d) for d in range(len(shape))]))
    check(map_, lambda x, y, z: (x + 1) * y - z.exp() * torch.ones(shape), *operands)


def test_an_input_that_is_turned_is_taken_by_tiles() -> None:
    check_all(map_, lambda x, y: x.t() * 2 + y, randn(150, 333), randn(333, 150))
    check_all(map_, lambda x, y: x.permute(0, 3, 1, 2) + y, randn(2, 40, 40, 30), randn(2, 30, 40, 40))
