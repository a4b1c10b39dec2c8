"""The shape of a rowwise region: rows, what runs over a row, and in how many passes.

    softmax       pass 0: amax    pass 1: exp, kept; sum    pass 2: exp / sum -> out

A value is *full* where it changes along the row, else the row has one of it. A reduction needs the passes before it; a
pass finds every reduction that is ready for it. What is expensive and read by several passes is kept, the rest is
computed anew. After the rows, a second stage may reduce what each row gave to one number, as losses do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import fx

from kernelwright.kernels import expr
from kernelwright.kernels.arguments import check_outputs
from kernelwright.kernels.axes import REDUCTIONS, VIEWS, Access, Axis, Space, reduced_dims, space
from kernelwright.kernels.expr import kind_of
from kernelwright.kernels.flat import Flat, flat, refuse
from kernelwright.kernels.loops import Loop, by_stride, fused, loops
from kernelwright.kernels.region import CannotCover, Region

aten = torch.ops.aten

EXPENSIVE = {
    aten.exp.default, aten.expm1.default, aten.log.default, aten.log1p.default, aten.tanh.default,
    aten.sigmoid.default, aten.erf.default, aten.pow.Tensor_Scalar, aten.sin.default, aten.cos.default,
}  # fmt: skip
WORDS = {
    aten.sum.dim_IntList: "Sum",
    aten.amax.default: "Largest",
    aten.amin.default: "Smallest",
    aten.prod.dim_int: "Product",
}
COUNTABLE = 1 << 24  # whole numbers that a float32 holds exactly

ROW_NAMES = ("i", "k", "l", "m", "n", "o")
REDUCED_NAMES = ("p", "q", "r", "s", "t")


@dataclass(frozen=True)
class Pass:
    """One run over a row."""

    reductions: tuple[fx.Node, ...]  # found in this pass
    outputs: tuple[fx.Node, ...]  # full outputs, written in this pass
    body: tuple[fx.Node, ...]  # full values computed, in order
    kept: tuple[fx.Node, ...]  # of these, what later passes read again


@dataclass(frozen=True)
class Rows:
    """A rowwise region, taken apart."""

    flat: Flat
    space: Space
    rows: tuple[Loop, ...]
    reduced: tuple[Loop, ...]
    across: bool  # vectors run over neighbouring rows, not along a row
    ready: Mapping[fx.Node, int]  # how many passes a value needs
    full: frozenset[fx.Node]
    tail: tuple[fx.Node, ...]  # reductions over all rows
    after: frozenset[fx.Node]  # what depends on these

    @property
    def row_length(self) -> int:
        return prod(loop.extent for loop in self.reduced)

    @property
    def row_count(self) -> int:
        return prod(loop.extent for loop in self.rows)

    @property
    def pass_count(self) -> int:
        found = [self.ready[node] for node in self.flat.nodes if self.is_reduction(node)]
        written = [self.ready[node] + 1 for node in self.flat.outputs if node in self.full]
        return max([*found, *written])

    def is_reduction(self, node: fx.Node) -> bool:
        return node.target in REDUCTIONS and node not in self.tail and node not in self.after

    def once(self, passes: int) -> list[fx.Node]:
        """Values of which a row has one, that are ready after so many passes."""
        return [
            node for node in self.flat.nodes
            if node in self.space.dims and node not in self.space.leaves and node not in self.full
            and node not in self.after and node not in self.tail and not self.is_reduction(node)
            and node.target is not aten.arange.start_step and self.ready[node] == passes
        ]  # fmt: skip

    def output_access(self, node: fx.Node) -> Access:
        canonical = self.flat.region.outputs[self.flat.outputs.index(node)]
        return self.space.access(node, canonical.meta["val"].stride())


def rows_of(here: Region) -> Rows:
    """Raises CannotCover where the region is not rows with pointwise work around their reductions."""
    body = flat(here)
    check_outputs(body)
    where = space(body)
    _check_calls(body)
    reduced = _reduced_axes(body, where)
    everywhere = set(where.extents)
    full = frozenset(node for node in where.dims if where.needs[node] & reduced)
    tail = tuple(
        n for n in body.nodes if n.target in REDUCTIONS and where.reduced.get(n) and set(where.reduced[n]) != reduced
    )
    after = _after(body, tail)
    _check_tail(tail, where, reduced, everywhere - reduced)
    ready = _ready(body, tail, after)
    row_loops, reduced_loops, across = _loops(body, where, reduced, everywhere - reduced)
    found = Rows(body, where, row_loops, reduced_loops, across, ready, full, tail, after)
    _check(found, everywhere)
    return found


def passes(found: Rows, keep: bool) -> tuple[Pass, ...]:
    """The passes over a row. With `keep`, a later pass reads expensive values back instead of computing them anew."""
    first: dict[fx.Node, int] = {}
    kept: set[fx.Node] = set()
    bodies: list[list[fx.Node]] = []
    ends: list[tuple[list[fx.Node], list[fx.Node]]] = []
    for number in range(found.pass_count):
        reductions = [n for n in found.flat.nodes if found.is_reduction(n) and found.ready[n] == number + 1]
        outputs = [n for n in dict.fromkeys(found.flat.outputs) if n in found.full and found.ready[n] == number]
        stack: list[fx.Node] = [*(_operand(n) for n in reductions), *outputs]
        body: set[fx.Node] = set()
        while stack:
            node = stack.pop()
            if node not in found.full or node in found.space.leaves or node in body:
                continue
            if keep and first.get(node, number) < number and _is_heavy(node, found):
                kept.add(node)
                continue
            first.setdefault(node, number)
            body.add(node)
            stack.extend(node.all_input_nodes)
        bodies.append([node for node in found.flat.nodes if node in body and node.target is not aten.arange.start_step])
        ends.append((reductions, outputs))
    return tuple(
        Pass(tuple(reductions), tuple(outputs), tuple(body), tuple(n for n in body if n in kept and first[n] == number))
        for number, (body, (reductions, outputs)) in enumerate(zip(bodies, ends, strict=True))
    )


def _operand(node: fx.Node) -> fx.Node:
    source = node.args[0]
    assert isinstance(source, fx.Node)
    return source


def _is_heavy(node: fx.Node, found: Rows) -> bool:
    """Whether computing it anew takes more than reading it back."""
    if kind_of(node) != "float":
        return False
    stack, seen = [node], set()
    while stack:
        here = stack.pop()
        if here in found.full and here not in found.space.leaves and here not in seen:
            if here.target in EXPENSIVE:
                return True
            seen.add(here)
            stack.extend(here.all_input_nodes)
    return False


def _check_calls(body: Flat) -> None:
    for node in body.nodes:
        known = (
            node.target in WORDS or node.target in VIEWS or node.target in (aten.gather.default, aten.arange.start_step)
        )
        if not known and not expr.can_spell(node):
            raise refuse(node, f"{node.target} is neither pointwise nor a reduction")
        kind_of(node)
        if node.target in WORDS and all(_operand(node).meta["val"].shape[d] == 1 for d in reduced_dims(node)):
            raise refuse(node, "reduces one element")
        if node.target in WORDS and kind_of(_operand(node)) not in ("float", "bool"):
            raise refuse(node, f"reduces element type {_operand(node).meta['val'].dtype}")


def _reduced_axes(body: Flat, where: Space) -> set[Axis]:
    """What the first reduction runs over; the others run over the same, or over the rows at the end."""
    for node in body.nodes:
        if node.target in REDUCTIONS and where.reduced[node]:
            return set(where.reduced[node])
    raise CannotCover(str(body.region), "reduces nothing")


def _after(body: Flat, tail: Sequence[fx.Node]) -> frozenset[fx.Node]:
    after: set[fx.Node] = set()
    for node in body.nodes:
        if any(source in after or source in tail for source in node.all_input_nodes):
            after.add(node)
    return frozenset(after)


def _check_tail(tail: Sequence[fx.Node], where: Space, reduced: set[Axis], rows: set[Axis]) -> None:
    for node in tail:
        if set(where.reduced[node]) != rows or where.needs[_operand(node)] & reduced:
            raise refuse(node, "reduces neither the same dimensions as the first reduction nor all of the rest")
        if node.target is not aten.sum.dim_IntList:
            raise refuse(node, f"{node.target} over the results of rows")
        if prod(where.extents[axis] for axis in rows) > COUNTABLE:
            raise refuse(node, f"more than {COUNTABLE} rows")


def _ready(body: Flat, tail: Sequence[fx.Node], after: frozenset[fx.Node]) -> dict[fx.Node, int]:
    ready: dict[fx.Node, int] = dict.fromkeys(body.inputs, 0)
    for node in body.nodes:
        before = max((ready[source] for source in node.all_input_nodes), default=0)
        ready[node] = before + (node.target in REDUCTIONS and node not in tail and node not in after)
    return ready


def _loops(
    body: Flat, where: Space, reduced: set[Axis], rows: set[Axis]
) -> tuple[tuple[Loop, ...], tuple[Loop, ...], bool]:
    """Loops in the order of the largest tensor's memory; vectors take whichever axis is innermost there."""
    written = [
        where.access(node, canonical.meta["val"].stride())
        for node, canonical in zip(body.outputs, body.region.outputs, strict=True)
    ]
    read = [access for _, access in where.leaves.values()]
    main = max([*read, *written], key=lambda access: prod(where.extents[a] for a, s in access.strides.items() if s))
    order = by_stride(sorted(reduced | rows), main)
    steps = [axis for axis in order if main.strides.get(axis, 0)]
    counted = {axis for node in body.nodes if node.target is aten.arange.start_step for axis in where.needs[node]}
    parts = [
        tuple(
            loops(
                fused([a for a in order if a in axes], where.extents, [*read, *written], counted), names, where.extents
            )
        )
        for axes, names in ((rows, ROW_NAMES), (reduced, REDUCED_NAMES))
    ]
    return parts[0], _named_inner(parts[1]), bool(steps) and steps[-1] in rows


def _named_inner(reduced: tuple[Loop, ...]) -> tuple[Loop, ...]:
    """The innermost loop along a row is `j`."""
    return (*reduced[:-1], Loop("j", reduced[-1].extent, reduced[-1].axes))


def _check(found: Rows, everywhere: set[Axis]) -> None:
    rows = {axis for loop in found.rows for axis in loop.axes}
    for node in found.flat.outputs:
        axes = set(found.output_access(node).strides)
        if node in found.after or node in found.tail:
            continue
        if axes != (everywhere if node in found.full else rows):
            raise refuse(node, "runs over a part of the rows")
        if node not in found.full and axes != rows:
            raise refuse(node, "is neither one value a row nor one for each element")
    for node in found.flat.nodes:
        if node.target is aten.gather.default and (
            found.across or len(found.reduced) != 1 or len(found.reduced[0].axes) != 1
        ):
            raise refuse(node, "gathers from rows that are not one piece")
        if node in found.after and node in found.full:
            raise refuse(node, "needs the result of all rows along a row")
        if node in found.after and node.target in REDUCTIONS:
            raise refuse(node, "a third stage of reductions")
        if node in found.after and found.space.needs.get(node):
            raise refuse(node, "needs the result of all rows in each row")
