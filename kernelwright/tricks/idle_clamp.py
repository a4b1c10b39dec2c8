"""Drop a clamp that value ranges prove idle, and put a constant for one that always binds.

    clamp(sigmoid(x), 0, 1)         ->  sigmoid(x)
    relu(softmax(x, d) + 1)         ->  softmax(x, d) + 1
    leaky_relu(relu(x)), abs(...)   ->  relu(x), ...
    maximum(exp(x), -1 * mask)      ->  exp(x)
    clamp_max(relu(x > 0), -1)      ->  -1 everywhere

Legal: ranges come from the operators alone, whatever the inputs are, and bounds are widened by rounding. A clamp lets
NaN through, so dropping it changes nothing; a constant is put only where NaN is impossible.
Faster: an operation less in each element; behind a constant, everything before it goes.
Accuracy: exact. A clamp at zero turns -0.0 into 0.0, its input does not.
"""

from __future__ import annotations

import math

import torch
from torch import fx

from kernelwright.graph.edit import call, dtype, is_call, is_tensor, replace, shape, take_over
from kernelwright.graph.query import arguments
from kernelwright.graph.ranges import Range, limits, range_of
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten

UNITS = (aten.leaky_relu, aten.elu, aten.celu)  # the identity from zero on
CHOICES = (aten.maximum, aten.minimum)


def _refusal(node: fx.Node) -> str:
    if not is_call(node, *UNITS, *CHOICES, aten.abs) and limits(node) is None:
        return "no clamp by numbers, and no maximum"
    if not _is_plain(node):
        return "changes dtype, or scales too"
    if _kept(node) is not None or _constant(node) is not None:
        return ""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    return f"{source} is in {_text(range_of(source))}"


def _is_plain(node: fx.Node) -> bool:
    given = arguments(node)
    is_scaled = (given.get("scale", 1), given.get("input_scale", 1)) != (1, 1)
    return is_tensor(node.args[0]) and dtype(node.args[0]) == dtype(node) and not is_scaled  # type: ignore[arg-type]


def _kept(node: fx.Node) -> fx.Node | None:
    """The argument that comes through unchanged, if there is one."""
    if is_call(node, *CHOICES):
        return _chosen(node)
    source = node.args[0]
    assert isinstance(source, fx.Node)
    low, high = limits(node) or (0.0, math.inf)
    known = range_of(source)
    return source if known.low >= low and known.high <= high else None


def _chosen(node: fx.Node) -> fx.Node | None:
    """The larger of a maximum, the smaller of a minimum. The other must not be NaN, which would win."""
    for mine, other in (node.args[:2], node.args[1::-1]):
        assert isinstance(mine, fx.Node) and isinstance(other, fx.Node)
        one, two = range_of(mine), range_of(other)
        wins = one.low >= two.high if is_call(node, aten.maximum) else one.high <= two.low
        if wins and not two.nan and (shape(mine), dtype(mine)) == (shape(node), dtype(node)):
            return mine
    return None


def _constant(node: fx.Node) -> float | None:
    between, source = limits(node), node.args[0]
    assert isinstance(source, fx.Node)
    known = range_of(source)
    if between is None or known.nan:
        return None
    low, high = between
    if known.high <= low and math.isfinite(low):
        return low
    return high if known.low >= high and math.isfinite(high) else None


def _text(found: Range) -> str:
    return f"[{found.low:.6g}, {found.high:.6g}]" + (" or NaN" if found.nan else "")


def _rewrite(node: fx.Node) -> None:
    kept, number = _kept(node), _constant(node)
    if kept is not None:
        replace(node, kept)
        return
    assert number is not None
    device = node.meta["val"].device
    take_over(node, call(node, aten.full.default, list(shape(node)), number, dtype=dtype(node), device=device))


idle_clamp = Trick("idle_clamp", _refusal, _rewrite)
