"""The shape of a rowwise region: rows, what runs over a row, and in how many passes.

    softmax       pass 0: amax    pass 1: exp, kept; sum    pass 2: exp / sum -> out

A value is *full* where it changes along the row, else the row has one of it. A reduction needs the passes before it; a
pass finds every reduction that is ready for it. What is expensive and read by several passes is kept, the rest is
computed anew. After the rows, a second stage may reduce what each row gave to one number, as losses do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import fx

from kernelwright.kernels import expr
from kernelwright.kernels.arguments import check_outputs, outputs
from kernelwright.kernels.axes import Access, Axis, Space, reduced_dims, space
from kernelwright.kernels.expr import kind_of
from kernelwright.kernels.flat import REDUCTIONS, VIEWS, Flat, flat, refuse
from kernelwright.kernels.loops import Loop, by_stride, fused, loops
from kernelwright.kernels.reads import is_counter
from kernelwright.kernels.region import CannotCover, Region

aten = torch.ops.aten

EXPENSIVE = {
    aten.exp.default, aten.expm1.default, aten.log.default, aten.log1p.default, aten.tanh.default,
    aten.sigmoid.default, aten.erf.default, aten.pow.Tensor_Scalar, aten.sin.default, aten.cos.default,
}  # fmt: skip
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

    @property
    def sources(self) -> list[fx.Node]:
        """What statements start from: inputs, views of them, counters."""
        return [*self.space.leaves, *(node for node in self.flat.nodes if is_counter(node))]

    @property
    def row_outputs(self) -> list[fx.Node]:
        """Outputs that a row has one of."""
        others = self.full | self.after | set(self.tail)
        return [node for node in dict.fromkeys(self.flat.outputs) if node not in others]

    @property
    def last_outputs(self) -> list[fx.Node]:
        """Outputs of the second stage."""
        return [node for node in dict.fromkeys(self.flat.outputs) if node in self.after or node in self.tail]

    def is_reduction(self, node: fx.Node) -> bool:
        return node.target in REDUCTIONS and node not in self.tail and node not in self.after

    def once(self, passes: int) -> list[fx.Node]:
        """Values of which a row has one, that are ready after so many passes."""
        elsewhere = self.full | self.after | set(self.tail) | self.space.leaves.keys()
        return [
            node for node in self.flat.nodes
            if node in self.space.dims and node not in elsewhere and not self.is_reduction(node)
            and not is_counter(node) and self.ready[node] == passes
        ]  # fmt: skip

    def writes(self, node: fx.Node) -> list[tuple[str, Access]]:
        """The pointers that a value is written to, and where in them."""
        return [(o.pointer, self.space.access(node, o.strides)) for o in outputs(self.flat) if o.node is node]

    def made_of(self, ends: Sequence[fx.Node], stop: Callable[[fx.Node], bool]) -> list[fx.Node]:
        """Full values that must be computed for the ends, in order; a value where `stop` holds is there already."""
        made: set[fx.Node] = set()
        stack = list(ends)
        while stack:
            node = stack.pop()
            if node in self.full and node not in self.space.leaves and node not in made and not stop(node):
                made.add(node)
                stack.extend(node.all_input_nodes)
        return [node for node in self.flat.nodes if node in made and not is_counter(node)]


def steps(loops: Sequence[Loop]) -> str:
    """`i * 8 + k`: the number of an element of the loops, counted without gaps."""
    terms, inner = [], 1
    for loop in reversed(loops):
        terms.append(loop.name if inner == 1 else f"{loop.name} * {inner}")
        inner *= loop.extent
    return " + ".join(terms[::-1]) or "0"


def operand(reduction: fx.Node) -> fx.Node:
    source = reduction.args[0]
    assert isinstance(source, fx.Node)
    return source


def passes(found: Rows, keep: bool) -> tuple[Pass, ...]:
    """The passes over a row. With `keep`, a later pass reads expensive values back instead of computing them anew."""
    first: dict[fx.Node, int] = {}
    kept: set[fx.Node] = set()
    drafts: list[Pass] = []
    for number in range(found.pass_count):
        reductions = [n for n in found.flat.nodes if found.is_reduction(n) and found.ready[n] == number + 1]
        written = [n for n in dict.fromkeys(found.flat.outputs) if n in found.full and found.ready[n] == number]

        def stays(node: fx.Node, number: int = number) -> bool:
            if keep and first.get(node, number) < number and _is_heavy(node, found):
                kept.add(node)
                return True
            return False

        body = found.made_of([*map(operand, reductions), *written], stays)
        for node in body:
            first.setdefault(node, number)
        drafts.append(Pass(tuple(reductions), tuple(written), tuple(body), ()))
    return tuple(
        Pass(
            draft.reductions,
            draft.outputs,
            draft.body,
            tuple(n for n in draft.body if n in kept and first[n] == number),
        )
        for number, draft in enumerate(drafts)
    )


def _is_heavy(node: fx.Node, found: Rows) -> bool:
    """Whether computing it anew takes more than reading it back."""
    if kind_of(node) != "float":
        return False
    return any(maker.target in EXPENSIVE for maker in found.made_of([node], lambda _: False))


def rows_of(here: Region) -> Rows:
    """Raises CannotCover where the region is not rows with pointwise work around their reductions."""
    body = flat(here)
    check_outputs(body)
    where = space(body)
    _check_calls(body)
    reduced = _reduced_axes(body, where)
    everywhere = set(where.extents)
    full = frozenset(node for node in where.dims if where.needs[node] & reduced)
    tail = tuple(n for n in body.nodes if n.target in REDUCTIONS and set(where.reduced[n]) != reduced)
    _check_tail(tail, where, reduced, everywhere - reduced)
    after = _after(body, tail)
    row_loops, reduced_loops, across = _loops(body, where, reduced, everywhere - reduced)
    found = Rows(body, where, row_loops, reduced_loops, across, _ready(body, tail, after), full, tail, after)
    _check_outputs(found, everywhere)
    _check_values(found)
    return found


def _check_calls(body: Flat) -> None:
    for node in body.nodes:
        known = (
            node.target in REDUCTIONS or node.target in VIEWS or node.target is aten.gather.default or is_counter(node)
        )
        if not known and not expr.can_spell(node):
            raise refuse(node, f"{node.target} is neither pointwise nor a reduction")
        kind_of(node)
        if node.target in REDUCTIONS:
            _check_reduction(node)


def _check_reduction(node: fx.Node) -> None:
    source = operand(node)
    if all(source.meta["val"].shape[dim] == 1 for dim in reduced_dims(node)):
        raise refuse(node, "reduces one element")
    if kind_of(source) not in ("float", "bool") or (
        kind_of(source) == "bool" and node.target is not aten.sum.dim_IntList
    ):
        raise refuse(node, f"{node.target} of element type {source.meta['val'].dtype}")


def _reduced_axes(body: Flat, where: Space) -> set[Axis]:
    """What the first reduction runs over; the others run over the same, or over the rows at the end."""
    for node in body.nodes:
        if node.target in REDUCTIONS:
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
        if set(where.reduced[node]) != rows or where.needs[operand(node)] & reduced:
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
    written = [where.access(output.node, output.strides) for output in outputs(body)]
    every = [*(access for _, access in where.leaves.values()), *written]
    main = max(every, key=lambda access: prod(where.extents[a] for a, stride in access.strides.items() if stride))
    order = by_stride(sorted(reduced | rows), main)
    moving = [axis for axis in order if main.strides.get(axis, 0)]
    counted = frozenset(axis for node in body.nodes if is_counter(node) for axis in where.needs[node])

    def nest(axes: set[Axis], names: Sequence[str]) -> list[Loop]:
        return loops(fused([a for a in order if a in axes], where.extents, every, counted), names, where.extents)

    *outer, inner = nest(reduced, REDUCED_NAMES)
    along = Loop("j", inner.extent, inner.axes)
    return tuple(nest(rows, ROW_NAMES)), (*outer, along), bool(moving) and moving[-1] in rows


def _check_outputs(found: Rows, everywhere: set[Axis]) -> None:
    rows = {axis for loop in found.rows for axis in loop.axes}
    for output in outputs(found.flat):
        node = output.node
        if node in found.after or node in found.tail:
            continue
        if set(found.space.access(node, output.strides).strides) != (everywhere if node in found.full else rows):
            raise refuse(node, "is neither one value a row nor one for each element")


def _check_values(found: Rows) -> None:
    for node in found.flat.nodes:
        one_piece = not found.across and len(found.reduced) == 1 and len(found.reduced[0].axes) == 1
        if node.target is aten.gather.default and not one_piece:
            raise refuse(node, "gathers from rows that are not one piece")
        if node in found.after and (node.target in REDUCTIONS or found.space.needs.get(node)):
            raise refuse(node, "needs the result of all rows in each row")
        if node in found.after and any(_is_of_one_row(source, found) for source in node.all_input_nodes):
            raise refuse(node, "needs the result of one row after all rows")
        if found.across:
            _check_across(node, found)


def _is_of_one_row(node: fx.Node, found: Rows) -> bool:
    return found.ready[node] > 0 and node not in found.after and node not in found.tail


def _check_across(node: fx.Node, found: Rows) -> None:
    """A strip of rows keeps what each row has one of as floats."""
    whole = node in found.full or node in found.after or node in found.tail or node in found.space.leaves
    if node.target in REDUCTIONS and node not in found.tail and kind_of(node) != "float":
        raise refuse(node, "counts in each of several neighbouring rows")
    if (
        not whole
        and kind_of(node) != "float"
        and any(found.ready[user] > found.ready[node] or user in found.full for user in node.users)
    ):
        raise refuse(node, f"element type {node.meta['val'].dtype} for each of several neighbouring rows")
