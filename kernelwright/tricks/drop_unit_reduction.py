"""Drop a reduction over dimensions of size one.

    sum, mean, prod, amax, amin, logsumexp, cumsum, cumprod (x, d)  ->  x, without d unless keepdim
    max, min (x, d)                                                 ->  the same, and indices 0
    argmax, argmin (x, d)                                           ->  0
    softmax(x, d)                                                   ->  x - x + 1
    log_softmax(x, d)                                               ->  x - x

Legal: always where the sizes are one. x - x is 0 for every finite x and NaN for the others, as softmax of one element
is; so it stays, and no constant is put in its place.
Faster: a pass over the data less, and what comes before and after can be one kernel.
Accuracy: exact. A sum turns -0.0 into 0.0, its input does not.
"""

from __future__ import annotations

import operator
from math import prod

import torch
from torch import fx

from kernelwright.graph.edit import call, dtype, is_call, replace, shape, take_over
from kernelwright.graph.query import arguments, dim_of, reduction
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten

IDENTITIES = ("sum", "mean", "prod", "amax", "amin", "logsumexp")
POSITIONS = ("argmax", "argmin")
SCANS = (aten.cumsum, aten.cumprod)
SOFTMAX = (aten.softmax, aten.log_softmax, aten._softmax, aten._log_softmax)
PAIRS = (aten.max.dim, aten.min.dim)


def _refusal(node: fx.Node) -> str:
    source = _source(node)
    if source is None:
        return "no reduction, scan or softmax"
    size = prod(shape(source)[dim] for dim in _dims(node))
    return "" if size == 1 else f"reduces {size} elements into one"


def _source(node: fx.Node) -> fx.Node | None:
    found = reduction(node)
    if found is not None:
        return found.source if found.kind in IDENTITIES + POSITIONS else None
    if is_call(node, *SCANS, *SOFTMAX):
        return node.args[0]  # type: ignore[return-value]
    return _pair(node).args[0] if _is_half(node) else None  # type: ignore[return-value]


def _is_half(node: fx.Node) -> bool:
    return node.target is operator.getitem and is_call(node.args[0], *PAIRS)


def _pair(node: fx.Node) -> fx.Node:
    pair = node.args[0]
    assert isinstance(pair, fx.Node)
    return pair


def _dims(node: fx.Node) -> tuple[int, ...]:
    found = reduction(node)
    if found is not None:
        return found.dims
    call_of_dim = _pair(node) if _is_half(node) else node
    source = call_of_dim.args[0]
    assert isinstance(source, fx.Node)
    return (dim_of(source, arguments(call_of_dim)["dim"]),) if shape(source) else ()


def _rewrite(node: fx.Node) -> None:
    source, found = _source(node), reduction(node)
    assert source is not None
    if is_call(node, *SOFTMAX):
        _subtract_itself(node, source)
    elif (found is not None and found.kind in POSITIONS) or (_is_half(node) and node.args[1] == 1):
        take_over(node, call(node, aten.zeros.default, list(shape(node)), dtype=dtype(node), device=_device(node)))
    else:
        _pass_on(node, source)


def _subtract_itself(node: fx.Node, source: fx.Node) -> None:
    new = call(node, aten.sub.Tensor, _converted(node, source), _converted(node, source))
    if is_call(node, aten.softmax, aten._softmax):
        new = call(node, aten.add.Tensor, new, 1)
    take_over(node, new)


def _pass_on(node: fx.Node, source: fx.Node) -> None:
    same = _converted(node, source)
    if shape(same) == shape(node):
        replace(node, same)
    else:
        take_over(node, call(node, aten.squeeze.dims, same, list(_dims(node))))


def _converted(node: fx.Node, source: fx.Node) -> fx.Node:
    """Sums of integers are wider than what they add."""
    return source if dtype(source) == dtype(node) else call(node, aten._to_copy.default, source, dtype=dtype(node))


def _device(node: fx.Node) -> torch.device:
    return node.meta["val"].device


drop_unit_reduction = Trick("drop_unit_reduction", _refusal, _rewrite)
