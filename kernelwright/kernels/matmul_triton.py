"""Products in Triton: one program for each tile, the sums in registers, what follows the product on the tile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import fx

from kernelwright.kernels.arguments import input_names, outputs
from kernelwright.kernels.body import indent, statements
from kernelwright.kernels.expr import TRITON
from kernelwright.kernels.matmul_cpp import product_total
from kernelwright.kernels.product import Piece, Product
from kernelwright.kernels.triton import block_reads, block_write, helpers


def triton_matmul(found: Product, options: Mapping[str, int | str | bool], name: str) -> str:
    sizes = {key: _power_of_two(int(options[f"{key}_block"])) for key in ("row", "column", "depth")}
    row_tiles, column_tiles = -(-found.row.extent // sizes["row"]), -(-found.column.extent // sizes["column"])
    pointers = ", ".join([*input_names(found.flat).values(), *(output.pointer for output in outputs(found.flat))])
    rows, columns = f"tl.arange(0, {sizes['row']})[:, None]", f"tl.arange(0, {sizes['column']})[None, :]"
    lines = [
        "tile = tl.program_id(0)",
        f"row = tile // {column_tiles} % {row_tiles} * {sizes['row']} + {rows}",
        f"column = tile % {column_tiles} * {sizes['column']} + {columns}",
        *([f"batch = tile // {row_tiles * column_tiles}"] if found.batch.loops else []),
        *_taken(found.batch, found.row, found.column),
        f"product = tl.zeros(({sizes['row']}, {sizes['column']}), tl.float32)",
        f"for first in range(0, {found.depth.extent}, {sizes['depth']}):",
        *indent(_operand(found, found.left, "left", found.row, f"first + tl.arange(0, {sizes['depth']})[None, :]"), 1),
        *indent(
            _operand(found, found.right, "right", found.column, f"first + tl.arange(0, {sizes['depth']})[:, None]"), 1
        ),
        '    product += tl.dot(left, right, input_precision="ieee")',
        *_finish(found),
    ]
    grid = row_tiles * column_tiles * found.batch.extent
    return "\n".join([
        *helpers(lines),
        "@triton.jit",
        f"def {name}_kernel({pointers}):",
        *indent(lines, 1),
        "",
        "",
        f"def {name}({pointers}):",
        f"    {name}_kernel[({grid},)]({pointers})",
    ]) + "\n"  # fmt: skip


def _power_of_two(size: int) -> int:
    """Triton's blocks are powers of two, and tl.dot wants 16 at least."""
    return max(16, 1 << (size - 1).bit_length())


def _operand(found: Product, operand: fx.Node, name: str, other: Piece, depth: str) -> list[str]:
    """One block of an operand; elements outside the matrix count as 0."""
    calls = found.before[operand]
    inside = f"({other.counter} < {other.extent}) & (depth < {found.depth.extent})"
    known, loads = block_reads(
        found.sources(operand),
        frozenset([*calls, found.node]),
        found.space,
        input_names(found.flat),
        found.loops,
        "inside",
    )
    body = statements(calls, known, TRITON)
    value = body.known[operand].text
    whole = f"tl.where(inside, {value}, 0.0)" if calls else value
    return [f"depth = {depth}", *_taken(found.depth), f"inside = {inside}", *loads, *body.lines, f"{name} = {whole}"]


def _finish(found: Product) -> list[str]:
    known, loads = block_reads(
        found.sources_after,
        frozenset([found.node, *found.after]),
        found.space,
        input_names(found.flat),
        found.loops,
        "inside",
    )
    total, lines = product_total(found, known, TRITON)
    body = statements(found.after, {**known, found.node: total}, TRITON)
    stores = [
        block_write(
            output.pointer,
            found.space.access(output.node, output.strides),
            body.known[output.node],
            found.loops,
            "inside",
            ("row", "column"),
        )
        for output in outputs(found.flat)
    ]
    inside = f"inside = (row < {found.row.extent}) & (column < {found.column.extent})"
    return [inside, *loads, *lines, *body.lines, *stores]


def _taken(*pieces: Piece) -> Sequence[str]:
    """Counters that stand for several loops, taken apart."""
    return [f"{loop.name} = {value.replace('/', '//')}" for piece in pieces for loop, value in piece.parts()]
