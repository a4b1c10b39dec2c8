"""Which loop runs over which dimension of every value in a flat region.

Two dimensions share an axis where a pointwise call makes them equal. A reshape in the middle cuts axes into parts:

    x [6, 35] -> view [6, 5, 7] -> y        x runs over (a, (b, c)), y over (a, b, c)

Views that sit directly on an input cost nothing: the input is then read with other strides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import fx

from kernelwright.kernels.flat import PERMUTES, PRODUCTS, REDUCTIONS, RESHAPES, SAME, VIEWS, Flat, refuse

aten = torch.ops.aten

Axis = int
Dims = tuple[tuple[Axis, ...], ...]  # for each dimension of a value, the axes it runs over, outer to inner


@dataclass(frozen=True, slots=True)
class Access:
    """Where an element stands in memory: offset + sum of index times stride over the axes. Counts elements."""

    strides: dict[Axis, int]
    offset: int = 0


@dataclass(frozen=True)
class Space:
    """The axes of a flat region, and how each value runs over them."""

    extents: dict[Axis, int]
    dims: dict[fx.Node, Dims]
    leaves: dict[fx.Node, tuple[fx.Node, Access]]  # inputs, and views of them: which input, and where in it
    needs: dict[fx.Node, frozenset[Axis]]  # axes that the value changes over
    reduced: dict[fx.Node, tuple[Axis, ...]]  # of a reduction or a product: the axes it sums over

    def access(self, node: fx.Node, strides: Sequence[int]) -> Access:
        """A tensor that runs over the same axes as the node, with these strides."""
        return Access(_by_axis(self.dims[node], strides, self.extents))


def space(flat: Flat) -> Space:
    """Raises CannotCover for a value that has no place in one loop nest."""
    return _Tracing(flat).space()


class _Tracing:
    """Axes under construction: dimensions are unified, long axes cut, until every call is served."""

    def __init__(self, flat: Flat) -> None:
        self.flat = flat
        self.extent: list[int] = []
        self.same: dict[Axis, Axis] = {}
        self.parts: dict[Axis, tuple[Axis, Axis]] = {}
        self.dims: dict[fx.Node, Dims] = {}
        self.layouts: dict[fx.Node, tuple[fx.Node, torch.Tensor]] = {}
        self.reduced: dict[fx.Node, tuple[Axis, ...]] = {}

    def space(self) -> Space:
        for node in self.flat.inputs:
            self._leaf(node, node, _layout(node))
        for node in self.flat.nodes:
            if not self._view_of_input(node):
                self._call(node)
        dims = {node: tuple(map(self._leaves_of, dims)) for node, dims in self.dims.items() if self._is_read(node)}
        for node, own in dims.items():
            axes = [axis for part in own for axis in part]
            if len(set(axes)) < len(axes):
                raise refuse(node, "reads the same axis in two dimensions")
        reduced = {node: self._leaves_of(axes) for node, axes in self.reduced.items()}
        extents = {
            axis: self.extent[axis]
            for own in (*dims.values(), *((r,) for r in reduced.values()))
            for part in own
            for axis in part
        }
        leaves = {
            node: (source, Access(_by_axis(dims[node], layout.stride(), extents), int(layout.storage_offset())))
            for node, (source, layout) in self.layouts.items()
            if node in dims
        }
        return Space(extents, dims, leaves, self._needs(dims, leaves, reduced), reduced)

    def _is_read(self, node: fx.Node) -> bool:
        """Whether a value is anything but an input that only views of it are read of."""
        return (
            node not in self.layouts
            or node in self.flat.outputs
            or any(user not in self.layouts for user in node.users)
        )

    def _call(self, node: fx.Node) -> None:
        if node.target in REDUCTIONS:
            self._reduction(node)
        elif node.target in PRODUCTS:
            self._product(node)
        elif node.target in RESHAPES:
            self._reshape(node)
        elif node.target in PERMUTES:
            self._permute(node)
        elif node.target is aten.gather.default:
            self._gather(node)
        elif node.target in VIEWS and node.target is not aten.expand.default and node.target not in SAME:
            raise refuse(node, f"{node.target} of a computed value")
        else:
            self._pointwise(node)

    def _view_of_input(self, node: fx.Node) -> bool:
        """A view of an input is the input read with other strides. A copy, or a view that cannot be, is not."""
        source = node.args[0] if node.args else None
        if node.target not in VIEWS or not isinstance(source, fx.Node) or source not in self.layouts:
            return False
        base, layout = self.layouts[source]
        view: Any = aten.view.default if node.target is aten._unsafe_view.default else node.target
        try:
            viewed = view(layout, *node.args[1:], **node.kwargs)
        except RuntimeError:
            return False
        self._leaf(node, base, viewed)
        return True

    def _leaf(self, node: fx.Node, base: fx.Node, layout: torch.Tensor) -> None:
        self.layouts[node] = (base, layout)
        self.dims[node] = tuple(self._fresh(extent) for extent in layout.shape)

    def _pointwise(self, node: fx.Node) -> None:
        shape = _shape(node)
        dims: list[tuple[Axis, ...]] = (
            [()] * len(shape) if node.all_input_nodes else [self._fresh(extent) for extent in shape]
        )
        for source in node.all_input_nodes:
            own = self.dims[source]
            for position, axes in enumerate(own, start=len(shape) - len(own)):
                if axes and dims[position]:
                    self._unify(axes, dims[position], node)
                elif axes:
                    dims[position] = axes
        self.dims[node] = tuple(dims[position] or self._fresh(extent) for position, extent in enumerate(shape))

    def _reshape(self, node: fx.Node) -> None:
        source = node.args[0]
        assert isinstance(source, fx.Node)
        self.dims[node] = tuple(self._fresh(extent) for extent in _shape(node))
        self._unify(_joined(self.dims[source]), _joined(self.dims[node]), node)

    def _permute(self, node: fx.Node) -> None:
        source = node.args[0]
        assert isinstance(source, fx.Node)
        own = self.dims[source]
        order = torch.arange(len(own))
        positions = torch.empty([2] * len(own), device="meta")
        permute: Any = node.target
        moved = permute(positions.as_strided([2] * len(own), [1 + int(i) for i in order]), *node.args[1:])
        self.dims[node] = tuple(own[stride - 1] for stride in moved.stride())

    def _reduction(self, node: fx.Node) -> None:
        source = node.args[0]
        assert isinstance(source, fx.Node)
        own, over = self.dims[source], reduced_dims(node)
        self.reduced[node] = _joined(own[d] for d in over)
        keep = len(_shape(node)) == len(own)
        kept = ((() if d in over else axes) for d, axes in enumerate(own) if keep or d not in over)
        self.dims[node] = tuple(kept)

    def _product(self, node: fx.Node) -> None:
        left, right = node.args[-2:]
        assert isinstance(left, fx.Node) and isinstance(right, fx.Node)
        *batch, rows, depth = self.dims[left]
        *right_batch, right_depth, columns = self.dims[right]
        self._unify(depth, right_depth, node)
        for mine, other in zip(batch, right_batch, strict=True):
            self._unify(mine, other, node)
        self.reduced[node] = depth
        self.dims[node] = (*batch, rows, columns)
        if len(node.args) == 3:
            self._broadcast_into(node, node.args[0])

    def _broadcast_into(self, node: fx.Node, source: object) -> None:
        """The value that addmm and baddbmm add."""
        assert isinstance(source, fx.Node)
        own = self.dims[source]
        for axes, wide in zip(reversed(own), reversed(self.dims[node]), strict=False):
            if axes and wide:
                self._unify(axes, wide, node)

    def _gather(self, node: fx.Node) -> None:
        """One element for each row, picked along a dimension: the index has extent 1 there."""
        source, dim, index = node.args
        assert isinstance(source, fx.Node) and isinstance(index, fx.Node) and isinstance(dim, int)
        own, dim = self.dims[source], dim % len(self.dims[source])
        if _shape(node)[dim] != 1 or any(_shape(node)[d] != _shape(source)[d] for d in range(len(own)) if d != dim):
            raise refuse(node, "gathers more than one element a row")
        for position, (axes, wide) in enumerate(zip(self.dims[index], own, strict=True)):
            if position != dim:
                self._unify(axes, wide, node)
        self.reduced[node] = own[dim]
        self.dims[node] = tuple(() if position == dim else axes for position, axes in enumerate(own))

    def _needs(self, dims: dict[fx.Node, Dims], leaves: dict[fx.Node, tuple[fx.Node, Access]],
               reduced: dict[fx.Node, tuple[Axis, ...]]) -> dict[fx.Node, frozenset[Axis]]:  # fmt: skip
        needs: dict[fx.Node, frozenset[Axis]] = {}
        for node in dims:
            if node in leaves:
                needs[node] = frozenset(axis for axis, stride in leaves[node][1].strides.items() if stride)
            elif node.target is aten.arange.start_step:
                needs[node] = frozenset(_joined(dims[node]))
            else:
                read = (needs[source] for source in node.all_input_nodes)
                needs[node] = frozenset().union(*read).difference(reduced.get(node, ()))
        return needs

    def _fresh(self, extent: int) -> tuple[Axis, ...]:
        if extent == 1:
            return ()
        self.extent.append(extent)
        return (len(self.extent) - 1,)

    def _unify(self, left: Iterable[Axis], right: Iterable[Axis], node: fx.Node) -> None:
        """Both run over the same elements, in the same order."""
        a, b = list(left), list(right)
        while a and b:
            a, b = list(self._leaves_of(a)), list(self._leaves_of(b))
            x, y = a.pop(), b.pop()
            if x == y:
                continue
            if self.extent[x] == self.extent[y]:
                self.same[y] = x
            elif self.extent[x] > self.extent[y]:
                a.append(self._cut(x, y, node))
            else:
                b.append(self._cut(y, x, node))
        if a or b:
            raise refuse(node, "changes the number of elements")

    def _cut(self, long: Axis, short: Axis, node: fx.Node) -> Axis:
        """Part of a long axis is the short one; gives the outer rest."""
        if self.extent[long] % self.extent[short]:
            raise refuse(node, f"reshapes {self.extent[long]} and {self.extent[short]} into each other")
        outer = self._fresh(self.extent[long] // self.extent[short])[0]
        self.parts[long] = (outer, short)
        return outer

    def _leaves_of(self, axes: Iterable[Axis]) -> tuple[Axis, ...]:
        """The axes that these have been cut into or made the same as."""
        result: list[Axis] = []
        for axis in axes:
            while axis in self.same:
                axis = self.same[axis]
            result.extend(self._leaves_of(self.parts[axis]) if axis in self.parts else (axis,))
        return tuple(result)


def reduced_dims(node: fx.Node) -> set[int]:
    """Which dimensions of its source a reduction runs over."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    rank = len(_shape(source))
    dims = node.args[1] if len(node.args) > 1 else []
    dims = [dims] if isinstance(dims, int) else dims
    return {d % rank for d in dims} if dims else set(range(rank))  # type: ignore[union-attr]


def _layout(node: fx.Node) -> torch.Tensor:
    val = node.meta["val"]
    if not isinstance(val, torch.Tensor):
        raise refuse(node, "is no tensor")
    return torch.empty_strided(val.shape, val.stride(), dtype=val.dtype, device="meta")


def _shape(node: fx.Node) -> tuple[int, ...]:
    val = node.meta.get("val")
    if not isinstance(val, torch.Tensor):
        raise refuse(node, f"{node.target} gives no single tensor")
    return tuple(val.shape)


def _joined(dims: Iterable[tuple[Axis, ...]]) -> tuple[Axis, ...]:
    return tuple(axis for axes in dims for axis in axes)


def _by_axis(dims: Dims, strides: Sequence[int], extents: dict[Axis, int]) -> dict[Axis, int]:
    """Strides of dimensions as strides of the axes that they run over."""
    result: dict[Axis, int] = {}
    for axes, stride in zip(dims, strides, strict=True):
        for position, axis in enumerate(axes):
            result[axis] = stride * prod(extents[inner] for inner in axes[position + 1 :])
    return result
