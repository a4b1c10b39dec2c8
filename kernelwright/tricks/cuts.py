"""Cuts (selects and slices) of a call's result as cuts of what it reads: one rule for each kind of operator.

    select(layer_norm(x, [d]), 1, i)  =  layer_norm(select(x, 1, i), [d])

A rule is pure: it says how the smaller call would look, and edits nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import torch
from torch import fx
from torch.fx.node import map_arg

from kernelwright.graph.edit import dtype, is_call, is_tensor, shape
from kernelwright.graph.query import arguments, dim_of, dims_of, is_pointwise, is_random, reduction
from kernelwright.tricks.linear_map import CONVOLUTIONS, PRODUCTS, TRANSPOSED, linear_map, product

aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class Cut:
    """Elements start, start + step, ... of a dimension, `count` of them; `drops` the dimension where it is a select."""

    dim: int
    start: int
    count: int
    step: int = 1
    drops: bool = False

    @property
    def stop(self) -> int:
        return self.start + (self.count - 1) * self.step + 1

    @property
    def kept(self) -> Cut:
        """The same elements, with their dimension."""
        return replace(self, drops=False)

    def at(self, dim: int) -> Cut:
        return replace(self, dim=dim)

    def after(self, dim: int) -> int:
        """Where another dimension is once this one is cut."""
        return dim - 1 if self.drops and self.dim < dim else dim

    def size(self, sizes: Sequence[int]) -> list[int]:
        """The sizes that are left of these."""
        return [*sizes[: self.dim], *([] if self.drops else [self.count]), *sizes[self.dim + 1 :]]


@dataclass(frozen=True, slots=True)
class Piece:
    """A cut of a node's value, still to be made."""

    node: fx.Node
    cut: Cut


@dataclass(frozen=True, slots=True)
class Route:
    """The smaller call: its arguments hold pieces where a node is cut. Without a target it is its one argument.
    `squeezed` is a dimension of size one to drop afterwards.
    """

    target: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    squeezed: int | None = None

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return tuple(_pieces((self.args, tuple(self.kwargs.values()))))


Rule = Callable[[fx.Node, Cut], Route | None]


def _pieces(value: Any) -> list[Piece]:
    if isinstance(value, (list, tuple)):
        return [piece for item in value for piece in _pieces(item)]
    return [value] if isinstance(value, Piece) else []


def cut_of(node: fx.Node) -> Piece | None:
    """What this select, slice or only used part of a split takes, and from which node; None where it takes all."""
    piece = taken(node)
    if piece is None or piece.cut.count == shape(piece.node)[piece.cut.dim]:
        return None
    return piece if piece.node in node.all_input_nodes or len(node.all_input_nodes[0].users) == 1 else None


def taken(node: fx.Node) -> Piece | None:
    """What this select, slice or part of a split takes, and from which node."""
    return _selected(node) or _sliced(node) or _split(node)


def _selected(node: fx.Node) -> Piece | None:
    if not is_call(node, aten.select.int):
        return None
    source, dim, index = node.args
    assert isinstance(source, fx.Node) and isinstance(dim, int) and isinstance(index, int)
    dim = dim_of(source, dim)
    return Piece(source, Cut(dim, index % shape(source)[dim], 1, drops=True))


def _sliced(node: fx.Node) -> Piece | None:
    if not is_call(node, aten.slice.Tensor):
        return None
    given, source = arguments(node), node.args[0]
    assert isinstance(source, fx.Node)
    dim = dim_of(source, given["dim"])
    start, _, step = slice(given["start"], given["end"], given["step"]).indices(shape(source)[dim])
    return Piece(source, Cut(dim, start, shape(node)[dim], step)) if shape(node)[dim] else None


def _split(node: fx.Node) -> Piece | None:
    if node.target is not operator.getitem or not is_call(node.args[0], aten.split, aten.split_with_sizes, aten.unbind):
        return None
    split, place = node.args
    assert isinstance(split, fx.Node) and isinstance(place, int)
    source = split.args[0]
    assert isinstance(source, fx.Node)
    dim = dim_of(source, arguments(split)["dim"])
    parts = split.meta["val"]
    if is_call(split, aten.unbind):
        return Piece(source, Cut(dim, place, 1, drops=True))
    before = sum(part.shape[dim] for part in parts[:place])
    return Piece(source, Cut(dim, before, parts[place].shape[dim]))


def route(node: fx.Node, cut: Cut) -> Route | None:
    """How the cut of this call's result is a call of cut arguments; None where no rule says so."""
    if node.op != "call_function" or not is_tensor(node) or is_random(node):
        return None
    if is_pointwise(node):
        return _pointwise(node, cut)
    if reduction(node) is not None:
        return _reduction(node, cut)
    rule = RULES.get(getattr(node.target, "overloadpacket", None))
    return rule(node, cut) if rule else None


def _pointwise(node: fx.Node, cut: Cut) -> Route | None:
    if node.kwargs.get("memory_format") not in (None, torch.contiguous_format, torch.preserve_format):
        return None
    if cut.drops and _promotes(node):
        return None
    aligned: Any = lambda source: _aligned(source, node, cut)  # noqa: E731
    args, kwargs = map_arg((node.args, node.kwargs), aligned)
    return Route(node.target, tuple(args), dict(kwargs))


def _promotes(node: fx.Node) -> bool:
    """Whether dtypes of one kind meet: a tensor that becomes a scalar would no longer widen the others."""
    kinds = {dtype(source) for source in node.all_input_nodes if is_tensor(source)} - {torch.bool}
    return len(kinds) > 1


def _aligned(source: fx.Node, node: fx.Node, cut: Cut) -> fx.Node | Piece:
    """The cut in what a node broadcasts."""
    dim = cut.dim - len(shape(node)) + len(shape(source))
    if dim < 0:
        return source
    if shape(source)[dim] == shape(node)[cut.dim]:
        return Piece(source, cut.at(dim))
    return Piece(source, Cut(dim, 0, 1, drops=True)) if cut.drops else source


def _reduction(node: fx.Node, cut: Cut) -> Route | None:
    found = reduction(node)
    assert found is not None
    if not is_call(node, aten.sum.dim_IntList, aten.mean.dim, aten.amax, aten.amin, aten.logsumexp):
        return None
    if found.keepdim and cut.dim in found.dims:
        return None
    kept = [dim for dim in range(len(shape(found.source))) if found.keepdim or dim not in found.dims]
    inner = cut.at(kept[cut.dim])
    dims = [inner.after(dim) for dim in found.dims]
    return Route(node.target, (Piece(found.source, inner), dims, found.keepdim), dict(node.kwargs))


def _linear(node: fx.Node, cut: Cut) -> Route | None:
    given = arguments(node)
    if cut.dim < len(shape(node)) - 1:
        return Route(node.target, (Piece(given["input"], cut), *node.args[1:]))
    return _features(node, cut)


def _features(node: fx.Node, cut: Cut) -> Route | None:
    """Output features: rows of the weight and of the bias."""
    folded = linear_map(node)
    if folded is None or folded.groups != 1:
        return None
    weight = Piece(folded.weight, cut.kept.at(folded.weight_channel))
    bias = folded.bias and Piece(folded.bias, cut.kept.at(0))
    return Route(node.target, (folded.input, weight, bias, *node.args[3:]), squeezed=cut.dim if cut.drops else None)


def _convolution(node: fx.Node, cut: Cut) -> Route | None:
    folded = linear_map(node)
    if folded is None:
        return None
    if cut.dim == 0:
        return _first(node, cut)
    return _features(node, cut) if cut.dim == 1 else None


def _first(node: fx.Node, cut: Cut) -> Route:
    """The first argument cut along the same dimension, which stays."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    return Route(
        node.target, (Piece(source, cut.kept), *node.args[1:]), dict(node.kwargs), cut.dim if cut.drops else None
    )


def _pooling(node: fx.Node, cut: Cut) -> Route | None:
    window = arguments(node).get("kernel_size", arguments(node).get("output_size"))
    assert isinstance(window, (list, tuple))
    return _first(node, cut) if cut.dim < len(shape(node)) - len(window) else None


def _product(node: fx.Node, cut: Cut) -> Route | None:
    found = product(node)
    if found is None:
        return None
    last = len(shape(node)) - 1
    left, right = found.left, found.right
    new: tuple[Any, Any] = (_aligned(left, node, cut.kept), _aligned(right, node, cut.kept))
    if cut.dim == last:
        new = (left, Piece(right, cut.kept.at(len(shape(right)) - 1)))
    if cut.dim == last - 1:
        new = (Piece(left, cut.kept.at(len(shape(left)) - 2)), right)
    return Route(node.target, new, squeezed=cut.dim if cut.drops else None)


def _norm(node: fx.Node, cut: Cut) -> Route | None:
    normalized = node.args[1]
    assert isinstance(normalized, (list, tuple))
    if cut.dim >= len(shape(node)) - len(normalized):
        return None
    return Route(node.target, (Piece(node.args[0], cut), *node.args[1:]), dict(node.kwargs))  # type: ignore[arg-type]


def _group_norm(node: fx.Node, cut: Cut) -> Route | None:
    return _first(node, cut) if cut.dim == 0 else None


def _along(node: fx.Node, cut: Cut) -> Route | None:
    """Softmax and scans: the other dimensions are independent."""
    source, dim = node.args[:2]
    assert isinstance(source, fx.Node) and isinstance(dim, int)
    dim = dim_of(source, dim)
    if cut.dim == dim:
        return None
    return Route(node.target, (Piece(source, cut), cut.after(dim), *node.args[2:]), dict(node.kwargs))


def _attention(node: fx.Node, cut: Cut) -> Route | None:
    given, last = arguments(node), len(shape(node)) - 1
    if given["attn_mask"] is not None or given["enable_gqa"] or (cut.dim == last - 1 and given["is_causal"]):
        return None
    query, key, value = (given[name] for name in ("query", "key", "value"))
    every = tuple(_aligned(side, node, cut.kept) for side in (query, key, value))
    sides = {last: (query, key, every[2]), last - 1: (every[0], key, value)}
    parts = (*sides.get(cut.dim, every), *node.args[3:])
    return Route(node.target, parts, dict(node.kwargs), cut.dim if cut.drops else None)


def _embedding(node: fx.Node, cut: Cut) -> Route:
    weight, indices, *rest = node.args
    if cut.dim < len(shape(node)) - 1:
        return Route(node.target, (weight, Piece(indices, cut), *rest))  # type: ignore[arg-type]
    return Route(node.target, (Piece(weight, cut.kept.at(1)), indices, *rest), squeezed=cut.dim if cut.drops else None)  # type: ignore[arg-type]


def _cat(node: fx.Node, cut: Cut) -> Route | None:
    parts: Any = node.args[0]
    dim = dim_of(node, arguments(node)["dim"])
    if any(len(shape(part)) != len(shape(node)) for part in parts):
        return None
    if cut.dim != dim:
        return Route(node.target, ([Piece(part, cut) for part in parts], cut.after(dim)))
    pieces = _overlaps(parts, cut)
    if len(pieces) == 1:
        return Route(None, (pieces[0],))
    return Route(node.target, (pieces, dim)) if cut.step == 1 else None


def _overlaps(parts: Sequence[fx.Node], cut: Cut) -> list[fx.Node | Piece]:
    """What the cut takes of each part, from those where it takes something."""
    taken: list[fx.Node | Piece] = []
    offset = 0
    for part in parts:
        extent = shape(part)[cut.dim]
        low, high = max(cut.start - offset, 0), min(cut.stop - offset, extent)
        if low < high:
            whole = high - low == extent and not cut.drops
            count = cut.count if low == cut.start - offset and high == cut.stop - offset else high - low
            taken.append(part if whole else Piece(part, replace(cut, start=low, count=count)))
        offset += extent
    return taken


def _stack(node: fx.Node, cut: Cut) -> Route:
    parts: Any = node.args[0]
    dim = dim_of(node, arguments(node)["dim"])
    if cut.dim == dim and cut.drops:
        return Route(None, (parts[cut.start],))
    if cut.dim == dim:
        return Route(node.target, (list(parts[cut.start : cut.stop : cut.step]), dim))
    inner = cut.at(cut.dim - (cut.dim > dim))
    return Route(node.target, ([Piece(part, inner) for part in parts], cut.after(dim)))


def _permutation(node: fx.Node, cut: Cut) -> Route:
    source: Any = node.args[0]
    order = order_of(node)
    inner = cut.at(order[cut.dim])
    left = [inner.after(dim) for place, dim in enumerate(order) if place != cut.dim or not cut.drops]
    if left == sorted(left):
        return Route(None, (Piece(source, inner),))
    return Route(aten.permute.default, (Piece(source, inner), left))


def order_of(node: fx.Node) -> list[int]:
    """Which dimension of its source each dimension of a permuted tensor is."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    order = list(range(len(shape(source))))
    if is_call(node, aten.permute):
        return list(dims_in_order(source, node.args[1]))
    one, other = (dim_of(source, dim) for dim in (node.args[1:3] or (0, len(order) - 1)))  # type: ignore[arg-type]
    order[one], order[other] = order[other], order[one]
    return order


def dims_in_order(source: fx.Node, dims: Any) -> list[int]:
    return [dim_of(source, dim) for dim in dims]


def _unsqueeze(node: fx.Node, cut: Cut) -> Route | None:
    source, dim = node.args
    assert isinstance(dim, int)
    dim = dim_of(node, dim)
    inner = cut.at(cut.dim - (cut.dim > dim))
    return Route(node.target, (Piece(source, inner), cut.after(dim)))  # type: ignore[arg-type]


def _squeeze(node: fx.Node, cut: Cut) -> Route | None:
    source = node.args[0]
    assert isinstance(source, fx.Node)
    asked = dims_of(source, arguments(node).get("dim"))
    dropped = [dim for dim in asked if shape(source)[dim] == 1]
    kept = [dim for dim in range(len(shape(source))) if dim not in dropped]
    inner = cut.at(kept[cut.dim])
    return Route(aten.squeeze.dims, (Piece(source, inner), [inner.after(dim) for dim in dropped]))


def _view(node: fx.Node, cut: Cut) -> Route | None:
    """A dimension that the view leaves whole, or the outermost of those that it splits one into."""
    source: Any = node.args[0]
    old, new = shape(source), shape(node)
    before = prod(new[: cut.dim])
    for dim, extent in enumerate(old):
        inner = extent // new[cut.dim]
        splits = any(prod(new[cut.dim : end]) == extent for end in range(cut.dim + 1, len(new) + 1))
        if prod(old[:dim]) != before or not splits or (inner > 1 and cut.step > 1):
            continue
        piece = cut.at(dim) if inner == 1 else Cut(dim, cut.start * inner, cut.count * inner)
        return Route(aten.reshape.default, (Piece(source, piece), cut.size(new)))
    return None


def _expand(node: fx.Node, cut: Cut) -> Route:
    source: Any = node.args[0]
    return Route(aten.expand.default, (_aligned(source, node, cut), cut.size(shape(node))))


def _across(node: fx.Node, cut: Cut) -> Route | None:
    """Two cuts of different dimensions change places."""
    piece = _selected(node) or _sliced(node)
    if piece is None:
        return None
    dim = cut.dim + (piece.cut.drops and cut.dim >= piece.cut.dim)
    if dim == piece.cut.dim:
        return None
    inner = cut.at(dim)
    return Route(node.target, (Piece(piece.node, inner), inner.after(piece.cut.dim), *node.args[2:]))


POOLINGS = (aten.max_pool1d, aten.max_pool2d, aten.max_pool3d, aten.avg_pool1d, aten.avg_pool2d, aten.avg_pool3d,
            aten.adaptive_avg_pool1d, aten.adaptive_avg_pool2d, aten.adaptive_avg_pool3d)  # fmt: skip

RULES: dict[Any, Rule] = {
    aten.linear: _linear, aten.layer_norm: _norm, aten.rms_norm: _norm, aten.group_norm: _group_norm,
    aten.scaled_dot_product_attention: _attention, aten.embedding: _embedding,
    aten.cat: _cat, aten.stack: _stack, aten.expand: _expand,
    aten.transpose: _permutation, aten.permute: _permutation, aten.t: _permutation,
    aten.unsqueeze: _unsqueeze, aten.squeeze: _squeeze, aten.view: _view, aten.reshape: _view, aten._unsafe_view: _view,
    aten.select: _across, aten.slice: _across,
    **dict.fromkeys((aten.softmax, aten.log_softmax, aten._softmax, aten._log_softmax), _along),
    aten.cumsum: _along, aten.cumprod: _along,
    **dict.fromkeys(CONVOLUTIONS + TRANSPOSED, _convolution), **dict.fromkeys(PRODUCTS, _product),
    **dict.fromkeys(POOLINGS, _pooling),
}  # fmt: skip
