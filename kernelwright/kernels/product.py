"""A region around one matrix product, taken apart: its operands, its axes, what comes before it and after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from torch import fx

from kernelwright.kernels import expr
from kernelwright.kernels.arguments import check_outputs, outputs
from kernelwright.kernels.axes import Axis, Space, space
from kernelwright.kernels.expr import kind_of
from kernelwright.kernels.flat import PRODUCTS, VIEWS, Flat, flat, refuse
from kernelwright.kernels.loops import Loop, fused
from kernelwright.kernels.reads import is_counter
from kernelwright.kernels.region import CannotCover, Region

LANES = 16  # the widest vector: parts of a dimension that is not one piece in memory must be multiples of it


@dataclass(frozen=True)
class Piece:
    """One side of a product as a counter, and the loops that it stands for: `row` = `row_0 * 8 + row_1`."""

    counter: str
    loops: tuple[Loop, ...]

    @property
    def extent(self) -> int:
        return prod(loop.extent for loop in self.loops)

    def parts(self) -> list[tuple[Loop, str]]:
        """Each loop's counter, from the piece's own. None where they are the same."""
        if len(self.loops) < 2:
            return []
        inner, parts = 1, []
        for position, loop in reversed(list(enumerate(self.loops))):
            whole = self.counter if inner == 1 else f"{self.counter} / {inner}"
            parts.append((loop, f"{whole} % {loop.extent}" if position else whole))
            inner *= loop.extent
        return parts[::-1]


@dataclass(frozen=True)
class Product:
    """C[batch, row, column] = sum over depth of A[batch, row, depth] * B[batch, depth, column], and around it."""

    flat: Flat
    space: Space
    node: fx.Node
    left: fx.Node
    right: fx.Node
    batch: Piece
    row: Piece
    column: Piece
    depth: Piece
    before: Mapping[fx.Node, tuple[fx.Node, ...]]  # of left and right: pointwise calls that make them
    after: tuple[fx.Node, ...]  # pointwise calls on the product, and what they need besides

    @property
    def swapped(self) -> Product:
        """The transposed product: rows and columns change places, and so do the operands."""
        row, column = Piece("row", _renamed(self.column, "row")), Piece("column", _renamed(self.row, "column"))
        return replace(self, left=self.right, right=self.left, row=row, column=column)

    @property
    def loops(self) -> tuple[Loop, ...]:
        return (*self.batch.loops, *self.row.loops, *self.column.loops, *self.depth.loops)

    def sources(self, operand: fx.Node) -> list[fx.Node]:
        """The leaves that an operand is made of."""
        read = {node for maker in self.before[operand] for node in maker.all_input_nodes} | {operand}
        return [node for node in _starts(self) if node in read]

    @property
    def sources_after(self) -> list[fx.Node]:
        """The leaves that finishing reads."""
        calls = [node for call in self.after for node in call.all_input_nodes]
        added = [self.node.args[0]] if len(self.node.args) == 3 else []
        return [node for node in _starts(self) if node in calls or node in added]

    def batches(self, operand: fx.Node) -> int:
        """How many matrices an operand has: 1 where all batches share it."""
        axes = {axis for loop in self.batch.loops for axis in loop.axes}
        return self.batch.extent if self.space.needs[operand] & axes else 1

    def along_depth(self, operand: fx.Node, other: Piece) -> bool:
        """Whether most of an operand's neighbours in memory are neighbours along depth, not along its other side."""
        leaf = max(self.sources(operand), key=lambda node: len(self.space.needs[node]), default=None)
        if leaf is None or leaf not in self.space.leaves or not other.loops or not self.depth.loops:
            return True
        access = self.space.leaves[leaf][1]
        return not (other.loops[-1].stride(access) == 1 and self.depth.loops[-1].stride(access) != 1)


def product_of(here: Region) -> Product:
    """Raises CannotCover where the region is not one product with pointwise work around it."""
    body = flat(here)
    check_outputs(body)
    node = _only_product(body)
    left, right = node.args[-2:]
    assert isinstance(left, fx.Node) and isinstance(right, fx.Node)
    if {kind_of(node), kind_of(left), kind_of(right)} != {"float"}:
        raise refuse(node, "a product of other than float32")
    where = space(body)
    before = {operand: _makers(operand, where) for operand in (left, right)}
    after = tuple(
        n for n in body.nodes if n in where.dims and n not in where.leaves and _is_after(n, node, before, body)
    )
    groups = _groups(node, right, where)
    pieces = {name: _piece(name, groups[name], body, where) for name in groups}
    found = Product(body, where, node, left, right, before=before, after=after, **pieces)
    _check(found)
    return found


def _only_product(body: Flat) -> fx.Node:
    products = [node for node in body.nodes if node.target in PRODUCTS]
    if len(products) != 1:
        raise CannotCover(str(body.region), f"has {len(products)} products; wanted 1")
    for call in body.nodes:
        if call is not products[0] and not expr.can_spell(call) and call.target not in VIEWS and not is_counter(call):
            raise refuse(call, f"{call.target} is not pointwise")
        kind_of(call)
    return products[0]


def _makers(operand: fx.Node, where: Space) -> tuple[fx.Node, ...]:
    """The pointwise calls that an operand is made by, in order."""
    found: set[fx.Node] = set()
    stack = [operand]
    while stack:
        node = stack.pop()
        if node not in found and node not in where.leaves and not is_counter(node):
            found.add(node)
            stack.extend(node.all_input_nodes)
    return tuple(sorted(found))


def _is_after(node: fx.Node, product: fx.Node, before: Mapping[fx.Node, tuple[fx.Node, ...]], body: Flat) -> bool:
    """Whether finishing needs this value: all but the product and what only its operands are made of."""
    if node is product or is_counter(node):
        return False
    made = {maker for makers in before.values() for maker in makers}
    return (
        node not in made or node in body.outputs or any(user not in made and user is not product for user in node.users)
    )


def _groups(node: fx.Node, right: fx.Node, where: Space) -> dict[str, tuple[Axis, ...]]:
    """The product's axes. A batch that the right operand has not is more rows."""
    *batch, rows, columns = where.dims[node]
    joined = tuple(axis for axes in batch for axis in axes)
    shared = bool(joined) and not set(joined) & where.needs[right]
    rows, joined = ((*joined, *rows), ()) if shared else (rows, joined)
    return {"batch": joined, "row": rows, "column": columns, "depth": where.reduced[node]}


def _piece(name: str, axes: tuple[Axis, ...], body: Flat, where: Space) -> Piece:
    """Axes that every tensor which has them steps through like one run as one loop."""
    written = [where.access(output.node, output.strides) for output in outputs(body)]
    every = [*(access for _, access in where.leaves.values()), *written]
    counted = frozenset(axis for node in body.nodes if is_counter(node) for axis in where.needs[node])
    groups = fused(axes, where.extents, [access for access in every if set(access.strides) & set(axes)], counted)
    loops = [Loop(name, prod(where.extents[axis] for axis in group), group) for group in groups]
    return Piece(name, _renamed(Piece(name, tuple(loops)), name))


def _renamed(piece: Piece, counter: str) -> tuple[Loop, ...]:
    alone = len(piece.loops) == 1
    return tuple(
        replace(loop, name=counter if alone else f"{counter}_{number}") for number, loop in enumerate(piece.loops)
    )


def _check(found: Product) -> None:
    where = found.space
    depth = {axis for loop in found.depth.loops for axis in loop.axes}
    everywhere = {axis for loop in found.loops for axis in loop.axes} - depth
    for node in found.after:
        if not where.needs[node] <= everywhere:
            raise refuse(node, "runs over more than the product's elements")
    for operand in (found.left, found.right):
        if not where.needs[operand] <= everywhere | depth or _runs_over_both(operand, found):
            raise refuse(operand, "runs over more than an operand's elements")
    for output in outputs(found.flat):
        if set(where.access(output.node, output.strides).strides) != everywhere:
            raise refuse(output.node, "has not the shape of the product")
    for piece in (found.row, found.column, found.depth):
        if len(piece.loops) > 1 and piece.loops[-1].extent % LANES:
            raise refuse(
                found.node, f"its {piece.counter}s come in pieces of {piece.loops[-1].extent}, no multiple of {LANES}"
            )


def _runs_over_both(operand: fx.Node, found: Product) -> bool:
    rows, columns = ({axis for loop in piece.loops for axis in loop.axes} for piece in (found.row, found.column))
    return bool(found.space.needs[operand] & rows and found.space.needs[operand] & columns)


def _starts(found: Product) -> list[fx.Node]:
    return [*found.space.leaves, *(node for node in found.flat.nodes if is_counter(node))]
