"""Pointwise calls as text."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import fx

from kernelwright.capture.export import program
from kernelwright.kernels.body import identifier, statements
from kernelwright.kernels.expr import ARITHMETIC, ATOM, COMPARISONS, CPP, TRITON, Text, decimal
from kernelwright.kernels.flat import Flat, flat
from kernelwright.kernels.region import CannotCover, region
from tests.kernels_at_work import calls, module


def flattened(function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> Flat:
    return flat(region("map", calls(program(module(function), list(inputs)))))


def lines(function: Callable[..., torch.Tensor], *inputs: torch.Tensor, language: str = "cpp") -> list[str]:
    """The statements of a function of tensors a, b, ..., all of them vectors."""
    body = flattened(function, *inputs)
    kinds = {torch.float32: "float", torch.int64: "long", torch.bool: "bool"}
    known = {
        node: Text(name, ATOM, kinds[node.meta["val"].dtype], True)
        for node, name in zip(body.inputs, "abc", strict=False)
    }
    return list(statements(body.nodes, known, {"cpp": CPP, "triton": TRITON}[language]).lines)


X = torch.ones(4)


def test_the_order_of_evaluation_is_kept() -> None:
    assert lines(torch.nn.functional.silu, X) == ["const vec silu = a * sigmoid(a);"]
    assert lines(lambda x: torch.nn.functional.gelu(x), X) == [
        "const vec gelu = a * 0.5f * (erf(a * 0.70710677f) + 1.0f);"
    ]


def test_a_sign_before_a_sign_is_no_decrement() -> None:
    text = "\n".join(lines(lambda x: -(x.neg()) - (x * -1.5), X))
    assert "--" not in text
    assert "a * -1.5f" in text


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_constant_reads_back_as_the_same_float32(value: float) -> None:
    text = decimal(value)
    assert struct.pack("f", float(text)) == struct.pack("f", value)
    assert "." in text or "e" in text


def test_constants_have_their_shortest_decimal() -> None:
    assert [decimal(v) for v in (0.1, 0.044715, 70, 1e-5, 1e20, -2.5)] == [
        "0.1",
        "0.044715",
        "70.0",
        "1e-05",
        "1e+20",
        "-2.5",
    ]


def test_numbers_that_are_none() -> None:
    assert CPP.literal(math.inf, "float") == "infinity"
    assert CPP.literal(-math.inf, "float") == "-infinity"
    assert CPP.literal(math.nan, "float") == "simd::nan"
    assert TRITON.literal(-math.inf, "float") == 'float("-inf")'
    assert CPP.literal(1e300, "float") == "infinity"  # as torch rounds a Python number for a float32 tensor


def test_integers_and_masks_are_converted_where_they_meet_floats() -> None:
    index, mask = torch.ones(4, dtype=torch.int64), torch.ones(4, dtype=torch.bool)
    assert lines(lambda x, i: x * i, X, index) == ["const vec mul = a * to_float(b);"]
    assert lines(lambda x, m: x * m, X, mask) == ["const vec mul = a * mask_to_float(b);"]
    assert lines(lambda i: i > 3, index) == ["const ivec gt = narrow_mask(a > all(3ll));"]
    assert lines(lambda x, i: x * i, X, index, language="triton") == ["mul = a * b.to(tl.float32)"]


def test_both_languages_say_the_same() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        return torch.where((x > 1) & (x < 2), x.exp(), x.clamp(min=0.5))

    assert lines(function, X)[-1] == "const vec where = select(and_1, exp_, clamp);"
    assert lines(function, X, language="triton")[-1] == "where = tl.where(and_1, exp_, clamp)"
    assert "and_1 = ((gt) & (lt))" in lines(function, X, language="triton")


def test_every_word_is_spelled_in_cpp_and_most_in_triton() -> None:
    words = {*ARITHMETIC.values(), *COMPARISONS.values()}
    assert words <= CPP.spelling.keys()
    assert words - TRITON.spelling.keys() == {
        "power", "round", "trunc", "tan", "asin", "acos", "atan", "sinh", "cosh", "log10",
    }  # fmt: skip


def test_a_word_that_a_language_lacks_is_a_refusal() -> None:
    with pytest.raises(CannotCover, match=r"round.*triton"):
        lines(lambda x: x.round(), X, language="triton")


def test_an_element_type_without_a_spelling_is_a_refusal_that_names_it() -> None:
    with pytest.raises(CannotCover, match="float64"):
        lines(lambda x: x.double() + 1, X)


def test_an_op_without_a_spelling_is_a_refusal_that_names_it() -> None:
    with pytest.raises(CannotCover, match=r"remainder.*aten\.remainder"):
        lines(lambda x: torch.remainder(x, 2), X)


def test_names_that_the_headers_have_get_an_underscore() -> None:
    assert [identifier(name) for name in ("x", "exp", "lanes", "i", "conv1_weight")] == [
        "x",
        "exp_",
        "lanes_",
        "i_",
        "conv1_weight",
    ]
    assert lines(lambda x: x.exp() + 1, X)[0] == "const vec exp_ = exp(a);"


def test_a_value_that_is_read_twice_has_a_line_of_its_own() -> None:
    assert lines(lambda x: (x + 1) * (x + 1), X) == ["const vec add = a + 1.0f;", "const vec mul = add * add;"]


def test_the_spelled_ops_are_aten_ops() -> None:
    assert all(isinstance(op, torch._ops.OpOverload) for op in (*ARITHMETIC, *COMPARISONS))
    assert fx.Node  # graphs are FX's own
