"""Pointwise calls as text, in C++ vectors or in Triton.

What a call means is said once, in words ("multiply", "exp"); each language has its own spelling of the words. Order of
evaluation is kept: a - (b + c) keeps its brackets. Constants are printed as the shortest decimal that reads back as the
same float32.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import torch
from torch import fx

from kernelwright.kernels.flat import PERMUTES, RESHAPES, SAME, refuse
from kernelwright.kernels.region import CannotCover

aten = torch.ops.aten

Kind = str  # "float" (float32), "long" (int64), "int" (int32), "bool"
KINDS: dict[torch.dtype, Kind] = {
    torch.float32: "float", torch.int64: "long", torch.int32: "int", torch.bool: "bool",
}  # fmt: skip

ATOM, UNARY, TIMES, PLUS, SHIFT, COMPARE, BITS, CHOICE = 7, 6, 5, 4, 3, 2, 1, 0  # how tightly a text binds


@dataclass(frozen=True, slots=True)
class Text:
    """An expression: how tightly its outermost operator binds, what it is, whether it differs from lane to lane."""

    text: str
    binding: int
    kind: Kind
    vector: bool

    def within(self, binding: int) -> str:
        return self.text if self.binding >= binding else f"({self.text})"


@dataclass(frozen=True, slots=True)
class Language:
    """Spelling of the words, of constants and of conversions. A spelling is a template and how tightly it binds."""

    name: str
    spelling: Mapping[str, tuple[str, int]]
    literal: Callable[[float | int | bool, Kind], str]
    convert: Callable[[Text, Kind], Text | None]
    spread: Callable[[Text], Text]  # a scalar as a vector, where operators do not do that by themselves


# Calls whose arguments are all operands, in that order, of the kind that the result has.
ARITHMETIC = {
    aten.mul.Tensor: "multiply", aten.mul.Scalar: "multiply", aten.div.Tensor: "divide", aten.div.Scalar: "divide",
    aten.neg.default: "negate", aten.abs.default: "abs",
    aten.sqrt.default: "sqrt", aten.rsqrt.default: "rsqrt", aten.exp.default: "exp", aten.expm1.default: "expm1",
    aten.log.default: "log", aten.log1p.default: "log1p", aten.tanh.default: "tanh", aten.sigmoid.default: "sigmoid",
    aten.erf.default: "erf", aten.sin.default: "sin", aten.cos.default: "cos", aten.tan.default: "tan",
    aten.asin.default: "asin", aten.acos.default: "acos", aten.atan.default: "atan", aten.sinh.default: "sinh",
    aten.cosh.default: "cosh", aten.floor.default: "floor", aten.ceil.default: "ceil", aten.trunc.default: "trunc",
    aten.exp2.default: "exp2", aten.log2.default: "log2", aten.log10.default: "log10",
    aten.round.default: "round", aten.relu.default: "relu", aten.maximum.default: "maximum",
    aten.minimum.default: "minimum", aten.bitwise_and.Tensor: "and", aten.bitwise_or.Tensor: "or",
    aten.logical_and.default: "and", aten.logical_or.default: "or", aten.bitwise_not.default: "not",
    aten.logical_not.default: "not", aten.clamp_min.default: "maximum", aten.clamp_max.default: "minimum",
    aten.clamp_min.Tensor: "maximum", aten.clamp_max.Tensor: "minimum",
    aten.pow.Tensor_Tensor: "power", aten.pow.Scalar: "power",
}  # fmt: skip

# Element types that a word takes, where that is not float alone.
WORD_KINDS = {
    "add": ("float", "long", "int"), "multiply": ("float", "long", "int"), "negate": ("float", "long", "int"),
    "and": ("bool",), "or": ("bool",), "not": ("bool",),
}  # fmt: skip

# Calls that compare: both operands of the kind that holds both, the result a bool.
COMPARISONS = {
    getattr(getattr(aten, name), overload): name
    for name in ("gt", "ge", "lt", "le", "eq", "ne") for overload in ("Tensor", "Scalar")
}  # fmt: skip

SPECIAL: dict[Any, Callable[[fx.Node, Speller], Text]] = {}

Operand = Any  # fx.Node or a Python number


class Speller:
    """Writes calls in one language. `known` gives the text of every value that has been written already."""

    def __init__(self, language: Language, known: Mapping[fx.Node, Text]) -> None:
        self.language = language
        self.known = known

    def call(self, node: fx.Node) -> Text:
        """The text of a pointwise call. Raises CannotCover for a call, or an element type, that has no spelling."""
        target: Any = node.target
        if target in ARITHMETIC:
            return self._arithmetic(node)
        if target in COMPARISONS:
            kind = _common_kind(node.args)
            return self.word(COMPARISONS[target], [self.operand(arg, kind) for arg in node.args], "bool")
        if target in SPECIAL:
            return SPECIAL[target](node, self)
        raise refuse(node, f"no spelling of {node.target} in {self.language.name}")

    def _arithmetic(self, node: fx.Node) -> Text:
        target: Any = node.target
        word, kind = ARITHMETIC[target], kind_of(node)
        if kind not in WORD_KINDS.get(word, ("float",)):
            raise refuse(node, f"{word} of element type {node.meta['val'].dtype}")
        return self.word(word, [self.operand(arg, kind) for arg in node.args])

    def operand(self, arg: Operand, kind: Kind) -> Text:
        if isinstance(arg, fx.Node):
            text = self.known[arg] if arg in self.known else self.call(arg)
            converted = text if text.kind == kind else self.language.convert(text, kind)
            if converted is None:
                raise refuse(arg, f"no conversion from {text.kind} to {kind} in {self.language.name}")
            return converted
        return Text(self.language.literal(arg, kind), ATOM if not _is_negative(arg) else UNARY, kind, False)

    def word(self, word: str, operands: Sequence[Text], kind: Kind | None = None) -> Text:
        """A word with its operands. The first of several may bind as loosely as the word, others must bind tighter."""
        template, binding = self._spelling(word, operands[0].kind)
        vector = any(operand.vector for operand in operands)
        if vector:
            operands = [operand if operand.vector else self.language.spread(operand) for operand in operands]
        if binding == ATOM:
            texts = [operand.text for operand in operands]
        else:
            texts = [
                operand.within(binding + (position > 0 or len(operands) == 1))
                for position, operand in enumerate(operands)
            ]
        return Text(template.format(*texts), binding, kind or operands[0].kind, vector)

    def _spelling(self, word: str, kind: Kind) -> tuple[str, int]:
        spelling = self.language.spelling
        found = spelling.get(f"{word} {kind}") or spelling.get(word)
        if found is None:
            raise CannotCover(word, f"no spelling in {self.language.name}")
        return found

    def number(self, value: float | int | bool, kind: Kind) -> Text:
        return self.operand(value, kind)


def can_spell(node: fx.Node) -> bool:
    """Whether a call is pointwise and every language of ours has a spelling of it."""
    return node.target in ARITHMETIC or node.target in COMPARISONS or node.target in SPECIAL


def kind_of(node: fx.Node) -> Kind:
    dtype = node.meta["val"].dtype
    if dtype not in KINDS:
        raise refuse(node, f"element type {dtype}; known: {', '.join(map(str, KINDS))}")
    return KINDS[dtype]


def _common_kind(operands: Sequence[Operand]) -> Kind:
    kinds = [kind_of(arg) if isinstance(arg, fx.Node) else _kind_of_number(arg) for arg in operands]
    return next(kind for kind in ("float", "long", "int", "bool") if kind in kinds)


def _kind_of_number(value: float | int | bool) -> Kind:
    if isinstance(value, bool):
        return "bool"
    return "float" if isinstance(value, float) else "int"


def _is_negative(value: float | int | bool) -> bool:
    return math.copysign(1.0, value) < 0


# ---- calls that need more than their operands


def special(*targets: Any) -> Callable[[Callable[[fx.Node, Speller], Text]], Callable[[fx.Node, Speller], Text]]:
    def register(spell: Callable[[fx.Node, Speller], Text]) -> Callable[[fx.Node, Speller], Text]:
        SPECIAL.update(dict.fromkeys(targets, spell))
        return spell

    return register


@special(aten.add.Tensor, aten.add.Scalar, aten.sub.Tensor, aten.sub.Scalar)
def _sum(node: fx.Node, speller: Speller) -> Text:
    """a ± alpha * b"""
    left, right = (speller.operand(arg, kind_of(node)) for arg in node.args[:2])
    alpha: Any = node.args[2] if len(node.args) > 2 else node.kwargs.get("alpha", 1)
    if alpha != 1:
        right = speller.word("multiply", [speller.number(alpha, kind_of(node)), right])
    return speller.word("add" if "add" in str(node.target) else "subtract", [left, right])


@special(aten.rsub.Tensor, aten.rsub.Scalar)
def _reverse_difference(node: fx.Node, speller: Speller) -> Text:
    right, left = (speller.operand(arg, kind_of(node)) for arg in node.args[:2])
    if len(node.args) > 2 or node.kwargs:
        raise refuse(node, "rsub with alpha")
    return speller.word("subtract", [left, right])


@special(aten.clamp.default, aten.clamp.Tensor, aten.hardtanh.default)
def _clamp(node: fx.Node, speller: Speller) -> Text:
    bounds = [*node.args[1:], None, None][:2]
    low, high = (node.kwargs.get(name, bound) for name, bound in zip(("min", "max"), bounds, strict=True))
    result = speller.operand(node.args[0], kind_of(node))
    for word, bound in (("maximum", low), ("minimum", high)):
        if bound is not None:
            result = speller.word(word, [result, speller.operand(bound, kind_of(node))])
    return result


@special(aten.where.self)
def _where(node: fx.Node, speller: Speller) -> Text:
    mask, yes, no = node.args
    operands = [speller.operand(mask, "bool"), *(speller.operand(arg, kind_of(node)) for arg in (yes, no))]
    return speller.word("select", operands, kind_of(node))


@special(aten.reciprocal.default)
def _reciprocal(node: fx.Node, speller: Speller) -> Text:
    return _inverse(speller.operand(node.args[0], "float"), speller)


def _inverse(x: Text, speller: Speller) -> Text:
    return speller.word("divide", [speller.number(1.0, "float"), x])


@special(aten.isnan.default, aten.isinf.default)
def _is(node: fx.Node, speller: Speller) -> Text:
    x = speller.operand(node.args[0], "float")
    if node.target is aten.isnan.default:
        return speller.word("isnan", [x], "bool")
    return speller.word("eq", [speller.word("abs", [x]), speller.number(math.inf, "float")], "bool")


@special(aten.sign.default)
def _sign(node: fx.Node, speller: Speller) -> Text:
    x, zero = speller.operand(node.args[0], "float"), speller.number(0.0, "float")
    negative = speller.word(
        "select", [speller.word("lt", [x, zero], "bool"), speller.number(-1.0, "float"), zero], "float"
    )
    return speller.word(
        "select", [speller.word("gt", [x, zero], "bool"), speller.number(1.0, "float"), negative], "float"
    )


@special(aten.pow.Tensor_Scalar)
def _power(node: fx.Node, speller: Speller) -> Text:
    """Whole and half exponents as products and roots, as torch computes them."""
    exponent: Any = node.args[1]
    x = speller.operand(node.args[0], kind_of(node))
    if kind_of(node) != "float" and exponent not in (2, 3):
        raise refuse(node, f"integer power {exponent}")
    if exponent in (2, 3):
        square = speller.word("multiply", [x, x])
        return square if exponent == 2 else speller.word("multiply", [square, x])
    if exponent == -1:
        return _inverse(x, speller)
    simple = {0.5: "sqrt", -0.5: "rsqrt"}
    if exponent in simple:
        return speller.word(simple[exponent], [x])
    return speller.word("power", [x, speller.number(exponent, "float")])


@special(*SAME, *RESHAPES, *PERMUTES, aten.expand.default)
def _same(node: fx.Node, speller: Speller) -> Text:
    """The same element, whichever dimensions it stands in."""
    return speller.operand(node.args[0], kind_of(node))


@special(aten.scalar_tensor.default)
def _constant(node: fx.Node, speller: Speller) -> Text:
    return speller.number(node.args[0], kind_of(node))  # type: ignore[arg-type]


@special(aten.full.default, aten.full_like.default)
def _filled(node: fx.Node, speller: Speller) -> Text:
    return speller.number(node.args[1], kind_of(node))  # type: ignore[arg-type]


@special(aten.zeros_like.default, aten.zeros.default)
def _zeros(node: fx.Node, speller: Speller) -> Text:
    return speller.number(0, kind_of(node))


@special(aten.ones_like.default, aten.ones.default)
def _ones(node: fx.Node, speller: Speller) -> Text:
    return speller.number(1, kind_of(node))


# ---- C++


def decimal(value: float) -> str:
    """The shortest decimal that reads back as the same float32."""
    nearest = _float32(value)
    digits = next(digits for digits in range(1, 10) if _float32(float(f"{nearest:.{digits}g}")) == nearest)
    text = f"{nearest:.{digits}g}"
    if "e" in text and 1e-4 <= abs(nearest) < 1e7:
        text = f"{Decimal(text):f}"
    return text if any(sign in text for sign in ".e") else f"{text}.0"


def _float32(value: float) -> float:
    """Nearest float32; an infinity where it is out of range."""
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def _cpp_literal(value: float | int | bool, kind: Kind) -> str:
    if kind == "bool":
        return "true" if value else "false"
    if kind != "float":
        return str(int(value)) + ("ll" if kind == "long" else "")
    nearest = _float32(float(value))
    if math.isnan(nearest):
        return "simd::nan"
    if math.isinf(nearest):
        return "infinity" if nearest > 0 else "-infinity"
    return f"{decimal(nearest)}f"


_CPP_CONVERSIONS = {
    ("bool", "float"): "mask_to_float", ("bool", "long"): "mask_to_long", ("bool", "int"): "mask_to_int",
    ("long", "float"): "to_float", ("int", "float"): "to_float", ("int", "long"): "to_long",
    ("float", "long"): "to_long",
}  # fmt: skip


def _cpp_convert(text: Text, kind: Kind) -> Text | None:
    if kind == "bool":
        nonzero = f"{text.within(COMPARE + 1)} != 0"
        if text.kind == "long":
            return Text(f"narrow_mask({nonzero})", ATOM, "bool", text.vector)
        return Text(nonzero, COMPARE, "bool", text.vector)
    function = _CPP_CONVERSIONS.get((text.kind, kind))
    if function is None:
        return None
    return Text(f"{function}({text.text})", ATOM, kind, text.vector)


_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}
_CALLS = ("abs sqrt rsqrt exp expm1 log log1p tanh sigmoid erf sin cos tan asin acos atan sinh cosh floor ceil trunc "
          "round exp2 log2 log10 isnan relu").split()  # fmt: skip

CPP = Language(
    "cpp",
    {
        "add": ("{} + {}", PLUS), "subtract": ("{} - {}", PLUS), "multiply": ("{} * {}", TIMES),
        "divide": ("{} / {}", TIMES), "negate": ("-{}", UNARY),
        **{word: (f"{{}} {sign} {{}}", COMPARE) for word, sign in _SIGNS.items()},
        **{f"{word} long": (f"narrow_mask({{}} {sign} {{}})", ATOM) for word, sign in _SIGNS.items()},
        "and": ("{} & {}", BITS), "or": ("({} | {})", ATOM), "not": ("invert({})", ATOM),
        "maximum": ("max({}, {})", ATOM), "minimum": ("min({}, {})", ATOM), "power": ("pow({}, {})", ATOM),
        "select": ("select({}, {}, {})", ATOM), **{name: (name + "({})", ATOM) for name in _CALLS},
    },
    _cpp_literal,
    _cpp_convert,
    lambda text: text if text.kind == "float" else Text(f"all({text.text})", ATOM, text.kind, True),
)  # fmt: skip


# ---- Triton


def _triton_literal(value: float | int | bool, kind: Kind) -> str:
    if kind == "bool":
        return "True" if value else "False"
    if kind != "float":
        return str(int(value))
    nearest = _float32(float(value))
    if not math.isfinite(nearest):
        return f'float("{nearest}")'
    return decimal(nearest)


_TRITON_TYPES = {"float": "tl.float32", "long": "tl.int64", "int": "tl.int32", "bool": "tl.int1"}


def _triton_convert(text: Text, kind: Kind) -> Text:
    if kind == "bool":
        return Text(f"{text.within(COMPARE + 1)} != 0", COMPARE, "bool", text.vector)
    return Text(f"{text.within(ATOM)}.to({_TRITON_TYPES[kind]})", ATOM, kind, text.vector)


_TRITON_CALLS = {
    "abs": "tl.abs", "sqrt": "tl.sqrt_rn", "rsqrt": "tl.rsqrt", "exp": "tl.exp", "log": "tl.log", "erf": "tl.erf",
    "sin": "tl.sin", "cos": "tl.cos", "floor": "tl.floor", "ceil": "tl.ceil", "sigmoid": "tl.sigmoid",
    "exp2": "tl.exp2", "log2": "tl.log2", "tanh": "tanh", "expm1": "expm1", "log1p": "log1p",
}  # fmt: skip

TRITON = Language(
    "triton",
    {
        **{word: CPP.spelling[word] for word in "add subtract multiply divide negate gt ge lt le eq ne".split()},
        "and": ("(({}) & ({}))", ATOM), "or": ("(({}) | ({}))", ATOM), "not": ("(({}) == 0)", ATOM),
        "maximum": ("tl.maximum({}, {}, propagate_nan=tl.PropagateNan.ALL)", ATOM),
        "minimum": ("tl.minimum({}, {}, propagate_nan=tl.PropagateNan.ALL)", ATOM),
        "relu": ("tl.maximum({}, 0.0, propagate_nan=tl.PropagateNan.ALL)", ATOM),
        "select": ("tl.where({}, {}, {})", ATOM), "isnan": ("(({0}) != ({0}))", ATOM),
        **{word: (function + "({})", ATOM) for word, function in _TRITON_CALLS.items()},
    },
    _triton_literal,
    _triton_convert,
    lambda text: text,
)  # fmt: skip
