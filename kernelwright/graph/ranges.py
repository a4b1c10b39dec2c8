"""What values nodes can take, by interval arithmetic: facts of the operators alone, nothing assumed of inputs.

    relu(x)              in [0, inf], NaN where x is
    sigmoid(x) * 3 - 1   in [-1, 2] and a few roundings more

Bounds hold for the floating results: they are widened by the rounding of each operation that rounds. An infinite
bound means that the value itself may be infinite.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from kernelwright.graph.edit import dtype, is_call, is_tensor, shape
from kernelwright.graph.query import arguments, reduction, shares_memory

aten = torch.ops.aten
INF = math.inf

LAZY = (aten._neg_view, aten._conj)  # views of memory whose values are still to be changed


@dataclass(frozen=True, slots=True)
class Range:
    """low <= value <= high, or NaN where `nan`."""

    low: float
    high: float
    nan: bool

    @property
    def is_finite(self) -> bool:
        """Whether every value is a finite number."""
        return math.isfinite(self.low) and math.isfinite(self.high) and not self.nan

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high


Rule = Callable[[fx.Node, "Known"], Range]


@dataclass(frozen=True, slots=True)
class Known:
    """The ranges of the nodes so far."""

    of: dict[fx.Node, Range]

    def __call__(self, operand: Any) -> Range:
        """A node's range; a number is itself."""
        if isinstance(operand, fx.Node):
            return self.of[operand]
        return Range(float(operand), float(operand), math.isnan(operand))


def ranges(graph: fx.Graph) -> dict[fx.Node, Range]:
    """The range of every node with one tensor value."""
    return _in_order(graph.nodes)


def range_of(node: fx.Node) -> Range:
    """The range of one node, from those that it depends on; an operator without a rule ends the search."""
    needed, todo = {node}, [node]
    while todo:
        at = todo.pop()
        if not is_tensor(at) or _rule(at) is not None:
            todo.extend(source for source in at.all_input_nodes if source not in needed)
            needed.update(at.all_input_nodes)
    return _in_order(sorted(needed))[node]


def _in_order(nodes: Iterable[fx.Node]) -> dict[fx.Node, Range]:
    known = Known({})
    for node in nodes:
        if is_tensor(node):
            known.of[node] = _range(node, known)
    return known.of


def _range(node: fx.Node, known: Known) -> Range:
    widest = _widest(dtype(node))
    rule = _rule(node)
    if rule is None or dtype(node).is_complex or any(map(_is_complex, node.all_input_nodes)):
        return widest
    found = rule(node, known)
    nan = found.nan and dtype(node).is_floating_point
    if math.isnan(found.low) or math.isnan(found.high) or not found.low <= found.high:
        return widest
    if not dtype(node).is_floating_point:
        return found if found.low >= widest.low and found.high <= widest.high else widest
    biggest = torch.finfo(dtype(node)).max
    return Range(found.low if found.low >= -biggest else -INF, found.high if found.high <= biggest else INF, nan)


def _rule(node: fx.Node) -> Rule | None:
    if node.op != "call_function":
        return None
    if node.target is torch.tensor:
        return _literal
    if shares_memory(node):
        return _of_view if is_tensor(node) and not is_call(node, *LAZY) else None
    if node.target is operator.getitem:
        return _of_pair if is_call(node.args[0], aten.max.dim, aten.min.dim) and node.args[1] == 0 else None
    if reduction(node) is not None:
        return _of_reduction
    return RULES.get(getattr(node.target, "overloadpacket", None))


def _widest(kind: torch.dtype) -> Range:
    if kind is torch.bool:
        return Range(0, 1, False)
    if kind.is_floating_point or kind.is_complex:
        return Range(-INF, INF, True)
    return Range(torch.iinfo(kind).min, torch.iinfo(kind).max, False)


def _is_complex(node: fx.Node) -> bool:
    return is_tensor(node) and dtype(node).is_complex


def _rounded(node: fx.Node, found: Range, roundings: int = 4) -> Range:
    """Widened by that many roundings, relative to each bound: zero stays zero, so signs stay known."""
    if not dtype(node).is_floating_point:
        return found
    slack = roundings * torch.finfo(dtype(node)).eps
    low = found.low - abs(found.low) * slack if math.isfinite(found.low) else found.low
    high = found.high + abs(found.high) * slack if math.isfinite(found.high) else found.high
    return Range(low, high, found.nan)


def _within(found: Range, low: float, high: float) -> Range:
    return Range(max(found.low, low), min(found.high, high), found.nan)


def _united(*parts: Range) -> Range:
    return Range(min(part.low for part in parts), max(part.high for part in parts), any(part.nan for part in parts))


# Where values come from.


def _literal(node: fx.Node, known: Known) -> Range:
    flat = torch.tensor(node.args[0], dtype=torch.float64).flatten().tolist()
    return _united(*map(known, flat)) if flat else _widest(dtype(node))


def _filled(number: Any) -> Rule:
    return lambda node, known: known(number)


def _full(node: fx.Node, known: Known) -> Range:
    number = arguments(node)["fill_value"]
    return known(number) if isinstance(number, (int, float)) else _widest(dtype(node))


def _of_view(node: fx.Node, known: Known) -> Range:
    source = node.args[0]
    while isinstance(source, fx.Node) and source not in known.of:
        source = source.args[0]
    assert isinstance(source, fx.Node)
    return known(source) if dtype(source) == dtype(node) else _widest(dtype(node))


def _of_pair(node: fx.Node, known: Known) -> Range:
    pair = node.args[0]
    assert isinstance(pair, fx.Node)
    return known(pair.args[0])


def _same(node: fx.Node, known: Known) -> Range:
    return known(node.args[0])


def _copied(node: fx.Node, known: Known) -> Range:
    source = node.args[0]
    assert isinstance(source, fx.Node)
    if not dtype(node).is_floating_point and dtype(source).is_floating_point:
        return _widest(dtype(node))
    return _rounded(node, known(source))


def _joined(node: fx.Node, known: Known) -> Range:
    return _united(*map(known, node.args[0]))  # type: ignore[arg-type]


def _padded(node: fx.Node, known: Known) -> Range:
    given = arguments(node)
    return _united(known(given["self"]), known(given["value"]))


def _chosen(node: fx.Node, known: Known) -> Range:
    return _united(*map(known, node.args[1:3]))


def _masked(node: fx.Node, known: Known) -> Range:
    return _united(known(node.args[0]), known(node.args[2]))


# Arithmetic.


def _add(node: fx.Node, known: Known) -> Range:
    first, second = node.args[:2]
    return _rounded(node, _sum(known(first), _times(known(second), known(arguments(node).get("alpha", 1)))))


def _sub(node: fx.Node, known: Known) -> Range:
    first, second = node.args[:2]
    return _rounded(node, _sum(known(first), _times(known(second), known(-arguments(node).get("alpha", 1)))))


def _rsub(node: fx.Node, known: Known) -> Range:
    first, second = node.args[:2]
    return _rounded(node, _sum(known(second), _times(known(first), known(-arguments(node).get("alpha", 1)))))


def _sum(one: Range, other: Range) -> Range:
    opposite = (one.low == -INF and other.high == INF) or (one.high == INF and other.low == -INF)
    return Range(one.low + other.low, one.high + other.high, one.nan or other.nan or opposite)


def _mul(node: fx.Node, known: Known) -> Range:
    first, second = node.args[:2]
    if first is second:
        return _square(node, known)
    return _rounded(node, _times(known(first), known(second)))


def _times(one: Range, other: Range) -> Range:
    corners = [0.0 if 0 in (a, b) else a * b for a in (one.low, one.high) for b in (other.low, other.high)]
    meets = (0 in one and not _bounded(other)) or (0 in other and not _bounded(one))
    return Range(min(corners), max(corners), one.nan or other.nan or meets)


def _bounded(found: Range) -> bool:
    return math.isfinite(found.low) and math.isfinite(found.high)


def _div(node: fx.Node, known: Known) -> Range:
    one, other = known(node.args[0]), known(node.args[1])
    if 0 in other or arguments(node).get("rounding_mode") is not None:
        return _widest(dtype(node))
    both_infinite = not _bounded(one) and not _bounded(other)
    inverse = Range(1 / other.high, 1 / other.low, False)
    found = _times(one, inverse)
    return _rounded(node, Range(found.low, found.high, one.nan or other.nan or both_infinite))


def _square(node: fx.Node, known: Known) -> Range:
    found = known(node.args[0])
    high = max(found.low * found.low, found.high * found.high)
    low = 0.0 if 0 in found else min(found.low * found.low, found.high * found.high)
    return _rounded(node, Range(low, high, found.nan))


def _power(node: fx.Node, known: Known) -> Range:
    exponent = node.args[1]
    found = known(node.args[0])
    if exponent == 2:
        return _square(node, known)
    if isinstance(exponent, int) and exponent > 0 and exponent % 2 == 0:
        return Range(0, INF, found.nan)
    return Range(0, INF, True) if found.low >= 0 else _widest(dtype(node))


def _abs(node: fx.Node, known: Known) -> Range:
    found = known(node.args[0])
    low = 0.0 if 0 in found else min(abs(found.low), abs(found.high))
    return Range(low, max(abs(found.low), abs(found.high)), found.nan)


def _neg(node: fx.Node, known: Known) -> Range:
    found = known(node.args[0])
    return Range(-found.high, -found.low, found.nan)


def _maximum(node: fx.Node, known: Known) -> Range:
    one, other = known(node.args[0]), known(node.args[1])
    return Range(max(one.low, other.low), max(one.high, other.high), one.nan or other.nan)


def _minimum(node: fx.Node, known: Known) -> Range:
    one, other = known(node.args[0]), known(node.args[1])
    return Range(min(one.low, other.low), min(one.high, other.high), one.nan or other.nan)


def limits(node: fx.Node) -> tuple[float, float] | None:
    """Between what a clamp keeps its first argument; None for other calls, and for clamps by tensors."""
    if is_call(node, aten.relu):
        return 0.0, INF
    if is_call(node, aten.relu6):
        return 0.0, 6.0
    if not is_call(node, aten.clamp, aten.clamp_min, aten.clamp_max, aten.hardtanh):
        return None
    given = arguments(node)
    low, high = given.get("min", given.get("min_val")), given.get("max", given.get("max_val"))
    low, high = -INF if low is None else low, INF if high is None else high
    if isinstance(low, fx.Node) or isinstance(high, fx.Node) or math.isnan(low) or math.isnan(high):
        return None
    return min(low, high), high


def _clamped(node: fx.Node, known: Known) -> Range:
    between, found = limits(node), known(node.args[0])
    if between is None:
        return _widest(dtype(node))
    low, high = between
    return Range(min(max(found.low, low), high), min(max(found.high, low), high), found.nan)


# Functions that only grow, by their value at the bounds.


def _growing(function: Callable[[float], float], low: float = -INF, high: float = INF) -> Rule:
    def rule(node: fx.Node, known: Known) -> Range:
        found = known(node.args[0])
        values = Range(_at(function, found.low, low), _at(function, found.high, high), found.nan)
        return _within(_rounded(node, values, 8), low, high)

    return rule


def _at(function: Callable[[float], float], number: float, otherwise: float) -> float:
    try:
        return function(number)
    except (OverflowError, ValueError):
        return otherwise


def _sigmoid(number: float) -> float:
    return 1 / (1 + math.exp(-number)) if number > -700 else 0.0


def _defined_from_zero(function: Callable[[float], float], at_zero: float) -> Rule:
    """Functions of what is positive: NaN below zero."""

    def rule(node: fx.Node, known: Known) -> Range:
        found = known(node.args[0])
        low = function(found.low) if found.low > 0 else at_zero
        high = function(found.high) if found.high > 0 else at_zero
        return _rounded(node, Range(low, high, found.nan or found.low < 0), 8)

    return rule


def _rsqrt(node: fx.Node, known: Known) -> Range:
    found = known(node.args[0])
    return Range(0, INF, found.nan or found.low < 0)


def _between(low: float, high: float) -> Rule:
    """Bounded functions that are NaN where the argument is, or is infinite."""
    return lambda node, known: Range(low, high, not known(node.args[0]).is_finite)


def _bounded_below(low: float) -> Rule:
    """x times a gate in [0, 1]: never far below zero, never above x or zero; NaN at -inf, where the gate closes."""

    def rule(node: fx.Node, known: Known) -> Range:
        found = known(node.args[0])
        return _rounded(node, Range(low, max(found.high, 0.0), found.nan or found.low == -INF))

    return rule


def _leaky(node: fx.Node, known: Known) -> Range:
    slope = arguments(node)["negative_slope"]
    if slope < 0:
        return _widest(dtype(node))
    return _rounded(node, _growing(lambda number: number if number >= 0 else number * slope)(node, known))


def _exponential_unit(node: fx.Node, known: Known) -> Range:
    given, found = arguments(node), known(node.args[0])
    alpha = given["alpha"]
    if alpha < 0 or (given.get("scale", 1), given.get("input_scale", 1)) != (1, 1):
        return _widest(dtype(node))
    return _rounded(node, Range(-alpha if found.low < 0 else found.low, max(found.high, 0.0), found.nan))


def _softplus(node: fx.Node, known: Known) -> Range:
    return Range(0, INF, known(node.args[0]).nan) if arguments(node)["beta"] > 0 else _widest(dtype(node))


# Reductions.


def _of_reduction(node: fx.Node, known: Known) -> Range:
    found = reduction(node)
    assert found is not None
    source = known(found.source)
    if found.kind in ("amax", "amin"):
        return source
    if found.kind in ("sum", "mean"):
        return _of_sum(node, source, found.extent, 1 if found.kind == "sum" else found.extent)
    if found.kind == "logsumexp" and found.extent:
        return _rounded(node, Range(source.low, source.high + math.log(found.extent), source.nan), 8)
    return _widest(dtype(node))


def _of_sum(node: fx.Node, source: Range, extent: int, divisor: int) -> Range:
    if extent == 0:
        return _widest(dtype(node))
    nan = source.nan or (source.low == -INF and source.high == INF)
    total = Range(source.low * extent / divisor, source.high * extent / divisor, nan)
    return _rounded(node, total, extent + 4)


def _softmax(node: fx.Node, known: Known) -> Range:
    return Range(0, 1, not known(node.args[0]).is_finite)


def _log_softmax(node: fx.Node, known: Known) -> Range:
    return Range(-INF, 0, not known(node.args[0]).is_finite)


def _spread(node: fx.Node, known: Known) -> Range:
    """Variances and norms: never negative; NaN is possible from infinities, and where nothing is left to divide by."""
    return Range(0, INF, True)


def _average_window(node: fx.Node, known: Known) -> Range:
    given = arguments(node)
    source = known(given["self"])
    padded = any(part != 0 for part in _parts(given.get("padding", 0)))
    total = _united(source, known(0)) if padded or given.get("divisor_override") else source
    if given.get("divisor_override"):
        return Range(0, INF, source.nan) if source.low >= 0 else _widest(dtype(node))
    return _of_sum(node, total, math.prod(shape(given["self"])[2:]) + 1, math.prod(shape(given["self"])[2:]) + 1)


def _parts(number: Any) -> list[int]:
    return list(number) if isinstance(number, (list, tuple)) else [number]


RULES: dict[Any, Rule] = {
    aten.zeros: _filled(0), aten.zeros_like: _filled(0), aten.ones: _filled(1), aten.ones_like: _filled(1),
    aten.full: _full, aten.full_like: _full,
    aten.clone: _same, aten._to_copy: _copied, aten.cat: _joined, aten.stack: _joined,
    aten.constant_pad_nd: _padded, aten.masked_fill: _masked, aten.where: _chosen,
    aten.max_pool1d: _same, aten.max_pool2d: _same, aten.max_pool3d: _same,
    aten.avg_pool1d: _average_window, aten.avg_pool2d: _average_window, aten.avg_pool3d: _average_window,
    aten.adaptive_avg_pool1d: _average_window, aten.adaptive_avg_pool2d: _average_window,
    aten.upsample_nearest2d: _same,
    aten.add: _add, aten.sub: _sub, aten.rsub: _rsub, aten.mul: _mul, aten.div: _div, aten.square: _square,
    aten.pow: _power, aten.abs: _abs, aten.neg: _neg, aten.maximum: _maximum, aten.minimum: _minimum,
    aten.relu: _clamped, aten.relu6: _clamped, aten.hardtanh: _clamped, aten.clamp: _clamped,
    aten.clamp_min: _clamped, aten.clamp_max: _clamped,
    aten.sigmoid: _growing(_sigmoid, 0, 1), aten.tanh: _growing(math.tanh, -1, 1), aten.erf: _growing(math.erf, -1, 1),
    aten.exp: _growing(math.exp, 0), aten.hardsigmoid: _growing(lambda number: min(max(number / 6 + 0.5, 0), 1), 0, 1),
    aten.log: _defined_from_zero(math.log, -INF), aten.sqrt: _defined_from_zero(math.sqrt, 0), aten.rsqrt: _rsqrt,
    aten.sin: _between(-1, 1), aten.cos: _between(-1, 1),
    aten.silu: _bounded_below(-0.2785), aten.gelu: _bounded_below(-0.1702), aten.mish: _bounded_below(-0.3089),
    aten.hardswish: _bounded_below(-0.3751),
    aten.leaky_relu: _leaky, aten.elu: _exponential_unit, aten.celu: _exponential_unit, aten.softplus: _softplus,
    aten.softmax: _softmax, aten._softmax: _softmax, aten.log_softmax: _log_softmax, aten._log_softmax: _log_softmax,
    aten.var: _spread, aten.std: _spread, aten.linalg_vector_norm: _spread,
}  # fmt: skip
