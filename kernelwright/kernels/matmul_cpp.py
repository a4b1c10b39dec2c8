"""Products in C++: the loads and what follows the product as functions, handed to the loops of matmul.h."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import fx

from kernelwright.kernels.arguments import cpp_signature, input_names, outputs
from kernelwright.kernels.body import declare, identifier, indent, statements
from kernelwright.kernels.expr import ATOM, CPP, Language, Speller, Text
from kernelwright.kernels.loops import Loop
from kernelwright.kernels.product import LANES, Piece, Product
from kernelwright.kernels.reads import Place, reads, spread, write
from kernelwright.kernels.region import CannotCover

NARROW = 8  # rows up to which streaming the other operand beats packing it
STACK = 96 << 10  # floats a thread may keep on its stack: tile and packed blocks. Stacks have 8 MiB, some 2

Options = Mapping[str, int | str | bool]


def cpp_matmul(found: Product, options: Options, name: str) -> tuple[str, int]:
    """The function's text, and how many floats of scratch it takes."""
    narrow = options["form"] == "narrow"
    if narrow and found.row.extent > NARROW:
        raise CannotCover(name, f"{found.row.extent} rows; the narrow form takes up to {NARROW}")
    shape = _shape(found, options)
    scratch = _scratch(shape, narrow)
    left = _operand(found, found.left, "left", found.row, bool(shape["left_along_depth"]))
    right = _operand(found, found.right, "right", found.column, bool(shape["right_along_depth"]))
    call = f"{'matmul_narrow' if narrow else 'matmul'}<{name}_shape>"
    lines = [
        f"// {found.node.meta['origin']}: {_sizes(found)}",
        f"struct {name}_shape {{",
        "    enum : long {",
        *indent(_wrapped([f"{key} = {value}," for key, value in shape.items()]), 2),
        "    };",
        "};",
        "",
        cpp_signature(name, found.flat, scratch),
        "{",
        *indent(
            [*left, *right, *_finish(found), f"{call}(left, right, finish, {'scratch' if scratch else 'nullptr'});"], 1
        ),
        "}",
    ]
    return "\n".join(lines) + "\n", scratch


def stack_floats(options: Options, sides: tuple[int, int, int, int]) -> int:
    """What `matmul` in matmul.h declares on each thread's stack."""
    rows, columns, depth, _ = sides
    tall, wide = int(options["tile_rows"]), int(options["tile_columns"]) * LANES
    row_block = _up(min(int(options["row_block"]), rows), tall)
    column_block = _up(min(int(options["column_block"]), columns), wide)
    depth_block = min(int(options["depth_block"]), depth)
    left = 0 if options["pack"] in ("left", "both") else row_block * depth_block
    right = 0 if options["pack"] in ("right", "both") else column_block * depth_block
    return row_block * column_block + left + right


def _up(n: int, step: int) -> int:
    return -(-n // step) * step


def _shape(found: Product, options: Options) -> dict[str, int]:
    """The constants that matmul.h wants, by name."""
    narrow = options["form"] == "narrow"
    shape = {
        "batches": found.batch.extent,
        "left_batches": found.batches(found.left),
        "right_batches": found.batches(found.right),
        "rows": found.row.extent,
        "columns": found.column.extent,
        "depth": found.depth.extent,
        "left_along_depth": int(narrow or found.along_depth(found.left, found.row)),
        "right_along_depth": int(found.along_depth(found.right, found.column)),
    }
    if narrow:
        return shape
    cuts = ("tile_rows", "tile_columns", "row_block", "column_block", "depth_block")
    before = {
        "left_before": int(options["pack"] in ("left", "both")),
        "right_before": int(options["pack"] in ("right", "both")),
    }
    return {**shape, **before, **{cut: int(options[cut]) for cut in cuts}}


def _scratch(shape: Mapping[str, int], narrow: bool) -> int:
    """Floats that are packed before the product, for the widest vectors: `left_size` and its like in matmul.h."""
    if narrow:
        return shape["left_batches"] * shape["rows"] * _up(shape["depth"], LANES)
    tall, wide = shape["tile_rows"], shape["tile_columns"] * LANES
    left = shape["left_batches"] * -(-shape["rows"] // tall) * (tall * shape["depth"] + LANES)
    right = shape["right_batches"] * -(-shape["columns"] // wide) * (wide * shape["depth"] + LANES)
    needed = shape["left_before"] * left + shape["right_before"] * right
    return needed + 2 * LANES if needed else 0


def _sizes(found: Product) -> str:
    one = f"[{found.row.extent}, {found.depth.extent}] x [{found.depth.extent}, {found.column.extent}]"
    return f"{one}, {found.batch.extent} times" if found.batch.loops else one


def _wrapped(words: Sequence[str]) -> list[str]:
    """Words on lines of up to 96 characters."""
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > 96:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines


def _operand(found: Product, operand: fx.Node, name: str, other: Piece, along_depth: bool) -> list[str]:
    """`const auto left = [=](long batch, long row, long depth, auto lanes) { return load(...); };`"""
    place = _place(found, found.depth if along_depth else other)
    calls = found.before[operand]
    known, fetched = reads(found.sources(operand), frozenset([*calls, found.node]), place)
    body = statements(calls, known, CPP)
    lines = [*fetched, *body.lines, f"return {spread(body.known[operand])};"]
    return _function(name, (found.batch, other, found.depth), "auto lanes", lines)


def _finish(found: Product) -> list[str]:
    """What happens to each piece of the product, up to the stores."""
    place = _place(found, found.column)
    known, fetched = reads(found.sources_after, frozenset([found.node, *found.after]), place)
    total, lines = product_total(found, known, CPP)
    body = statements(found.after, {**known, found.node: total}, CPP)
    stores = [
        write(output.pointer, found.space.access(output.node, output.strides), body.known[output.node], place)
        for output in outputs(found.flat)
    ]
    pieces = (found.batch, found.row, found.column)
    return _function("finish", pieces, "vec product, auto lanes", [*fetched, *lines, *body.lines, *stores])


def product_total(found: Product, known: Mapping[fx.Node, Text], language: Language) -> tuple[Text, list[str]]:
    """The product's value, `product` in the text: for addmm and baddbmm with what they add."""
    total, speller = Text("product", ATOM, "float", True), Speller(language, known)
    if len(found.node.args) < 3:
        return total, []
    beta, alpha = (found.node.kwargs.get(name, 1) for name in ("beta", "alpha"))
    terms = [(alpha, total)] if beta == 0 else [(alpha, total), (beta, speller.operand(found.node.args[0], "float"))]
    scaled = [
        text if factor == 1 else speller.word("multiply", [speller.number(float(str(factor)), "float"), text])
        for factor, text in terms
    ]
    name = identifier(str(found.node.meta["origin"]))
    text = speller.word("add", scaled) if len(scaled) > 1 else scaled[0]
    return Text(name, ATOM, "float", True), [declare(name, text, language)]


def _place(found: Product, along: Piece) -> Place:
    """Statements inside all loops, with vectors along the innermost of one side; of one lane where it has no loop."""
    inner = along.loops[-1] if along.loops else Loop(along.counter, 1, ())
    return Place(found.space, input_names(found.flat), found.loops, inner)


def _function(name: str, pieces: Sequence[Piece], rest: str, lines: Sequence[str]) -> list[str]:
    """A lambda over the counters. Those that stand for several loops are taken apart first, others have no name."""
    text = "\n".join(lines)
    taken = [
        f"const long {loop.name} = {value};"
        for piece in pieces
        for loop, value in piece.parts()
        if _says(text, loop.name)
    ]
    whole = "\n".join([*taken, text])
    declared = [f"long {piece.counter}" if _says(whole, piece.counter) else "long" for piece in pieces]
    return [f"const auto {name} = [=]({', '.join(declared)}, {rest}) {{", *indent([*taken, *lines], 1), "};"]


def _says(text: str, word: str) -> bool:
    return re.search(rf"\b{word}\b", text) is not None
