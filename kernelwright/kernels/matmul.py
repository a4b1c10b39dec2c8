"""Matrix products in fp32 with what comes before and after them: one product, pointwise work fused on both sides.

    y = gelu(linear(x, weight, bias)) + residual        one pass: loads pack, the product runs in registers, and each
                                                        finished tile goes through bias, gelu and residual in cache

Packing reads operands through a function, so transposed and strided operands and pointwise work on them cost nothing
more. Nothing is kept between calls: weights are packed anew each time, which takes a few percent of a large product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from torch import fx

from kernelwright.core.spec import Target
from kernelwright.kernels import expr
from kernelwright.kernels.arguments import (
    arguments, check_outputs, cpp_signature, elements, input_names, moved_bytes, output_names,
)  # fmt: skip
from kernelwright.kernels.axes import PRODUCTS, SAME, VIEWS, Access, Axis, Space, space
from kernelwright.kernels.body import QUIET, declare, identifier, indent, statements
from kernelwright.kernels.expr import ATOM, CPP, Speller, Text, kind_of
from kernelwright.kernels.flat import Flat, decomposed, flat, refuse
from kernelwright.kernels.kernel import Kernel, Language, Parameters
from kernelwright.kernels.loops import Loop, address, element, fused
from kernelwright.kernels.region import CannotCover, Region, grown, region
from kernelwright.kernels.skeleton import chosen

NAME = "matmul"
LANGUAGES: tuple[Language, ...] = ("cpp",)

DEFAULTS: Mapping[str, int | str | bool] = {
    "form": "tiles", "swap": False, "pack": "left", "tile_rows": 14, "tile_columns": 2, "row_block": 1024,
    "column_block": 64, "depth_block": 256,
}  # fmt: skip

NARROW = 8  # rows up to which streaming the other operand beats packing it
STACK = 96 << 10  # floats a thread may keep on its stack: tile and packed blocks. Stacks have 8 MiB, some 2
LANES = 16  # the widest vector: parts of a dimension that is not one piece in memory must be multiples of it


@dataclass(frozen=True)
class Product:
    """A region around one product: C[batch, row, column] = sum over depth of A[batch, row, depth] B[batch, depth, column]."""

    flat: Flat
    space: Space
    node: fx.Node
    left: fx.Node
    right: fx.Node
    groups: Mapping[str, tuple[Axis, ...]]  # "batch", "row", "column", "depth": the axes of each, outer to inner
    before: Mapping[fx.Node, tuple[fx.Node, ...]]  # of left and right: pointwise calls that make them
    after: tuple[fx.Node, ...]

    def extent(self, group: str) -> int:
        return prod(self.space.extents[axis] for axis in self.groups[group])

    @property
    def swapped(self) -> Product:
        """The transposed product: C' = B' A'. Rows and columns change places, and so do the operands."""
        groups = {**self.groups, "row": self.groups["column"], "column": self.groups["row"]}
        return Product(self.flat, self.space, self.node, self.right, self.left, groups, self.before, self.after)


def claims(node: fx.Node) -> bool:
    """A linear, mm, addmm, bmm, baddbmm, matmul, ... in fp32."""
    try:
        return any(call.target in PRODUCTS for call in decomposed(node).nodes) and bool(
            product_of(region(NAME, [node]))
        )
    except CannotCover:
        return False


def absorbs(here: Region, node: fx.Node) -> bool:
    """Pointwise consumers; pointwise producers of an operand where they are cheap beside the product."""
    try:
        product_of(grown(here, node))
    except CannotCover:
        return False
    return True


def product_of(here: Region) -> Product:
    """Raises CannotCover where the region is not one product with pointwise work around it."""
    body = flat(here)
    check_outputs(body)
    products = [node for node in body.nodes if node.target in PRODUCTS]
    if len(products) != 1:
        raise CannotCover(str(here), f"has {len(products)} products; wanted 1")
    node = products[0]
    for call in body.nodes:
        if call is not node and not expr.can_spell(call) and call.target not in VIEWS:
            raise refuse(call, f"{call.target} is not pointwise")
        kind_of(call)
    left, right = node.args[-2:]
    assert isinstance(left, fx.Node) and isinstance(right, fx.Node)
    if {kind_of(node), kind_of(left), kind_of(right)} != {"float"}:
        raise refuse(node, "a product of other than float32")
    where = space(body)
    before = {operand: _makers(operand, where) for operand in (left, right)}
    after = tuple(
        n for n in body.nodes if n in where.dims and n not in where.leaves and _is_after(n, node, before, body)
    )
    found = Product(body, where, node, left, right, _groups(node, left, right, where), before, after)
    _check(found)
    return found


def _makers(operand: fx.Node, where: Space) -> tuple[fx.Node, ...]:
    """The pointwise calls that an operand is made by, in order."""
    found: set[fx.Node] = set()
    stack = [operand]
    while stack:
        node = stack.pop()
        if node not in found and node not in where.leaves:
            found.add(node)
            stack.extend(node.all_input_nodes)
    return tuple(sorted(found))


def _is_after(node: fx.Node, product: fx.Node, before: Mapping[fx.Node, tuple[fx.Node, ...]], body: Flat) -> bool:
    """Whether finishing needs this value: all but the product and what only its operands are made of."""
    if node is product:
        return False
    made = {maker for makers in before.values() for maker in makers}
    return (
        node not in made or node in body.outputs or any(user not in made and user is not product for user in node.users)
    )


def _groups(node: fx.Node, left: fx.Node, right: fx.Node, where: Space) -> dict[str, tuple[Axis, ...]]:
    """The product's axes. A batch that only the left operand has is more rows."""
    *batch, rows, columns = where.dims[node]
    joined = tuple(axis for axes in batch for axis in axes)
    if joined and not set(joined) & where.needs[right]:
        return {"batch": (), "row": (*joined, *rows), "column": columns, "depth": where.reduced[node]}
    return {"batch": joined, "row": rows, "column": columns, "depth": where.reduced[node]}


def _check(found: Product) -> None:
    where, depth = found.space, set(found.groups["depth"])
    everywhere = {axis for name in ("batch", "row", "column") for axis in found.groups[name]}
    for node in found.after:
        if where.needs[node] & depth:
            raise refuse(node, "is read both along the product's depth and after it")
        if not where.needs[node] <= everywhere:
            raise refuse(node, "runs over more than the product's elements")
    for operand in (found.left, found.right):
        if not where.needs[operand] <= everywhere | depth or _runs_over_both(operand, found):
            raise refuse(operand, "runs over more than an operand's elements")
    for node, canonical in zip(found.flat.outputs, found.flat.region.outputs, strict=True):
        if set(where.access(node, canonical.meta["val"].stride()).strides) != everywhere:
            raise refuse(node, "has not the shape of the product")
        if node in found.before[found.left] or node in found.before[found.right]:
            raise refuse(node, "an operand that is read from outside as well")
    _plan(found)


def _runs_over_both(operand: fx.Node, found: Product) -> bool:
    needs = found.space.needs[operand]
    return bool(needs & set(found.groups["row"]) and needs & set(found.groups["column"]))


# ---- how vectors run over the operands and the outputs


@dataclass(frozen=True)
class Piece:
    """A group of axes as a counter and the loops it stands for: `row` = `row_0 * 8 + row_1`."""

    counter: str
    loops: tuple[Loop, ...]

    def lines(self, used: set[str]) -> list[str]:
        if len(self.loops) < 2:
            return []
        inner, lines = 1, []
        for position, loop in reversed(list(enumerate(self.loops))):
            value = self.counter if inner == 1 else f"{self.counter} / {inner}"
            if position > 0:
                value = f"{value} % {loop.extent}"
            if loop.name in used:
                lines.append(f"const long {loop.name} = {value};")
            inner *= loop.extent
        return lines[::-1]


@dataclass(frozen=True)
class Plan:
    """Which counter each side's vectors run along, and the loops of every counter."""

    pieces: Mapping[str, Piece]
    left_along_depth: bool
    right_along_depth: bool


def _plan(found: Product) -> Plan:
    left_axis = _along(found, found.left, "row")
    right_axis = _along(found, found.right, "column")
    pieces = {name: _piece(found, name) for name in ("batch", "row", "column", "depth")}
    for name in {left_axis, right_axis, "column"}:
        inner = pieces[name].loops
        if len(inner) > 1 and inner[-1].extent % LANES:
            raise refuse(found.node, f"its {name} is cut into pieces of {inner[-1].extent}, no multiple of {LANES}")
    return Plan(pieces, left_axis == "depth", right_axis == "depth")


def _along(found: Product, operand: fx.Node, other: str) -> str:
    """Where most of an operand's elements are next to each other in memory: along "depth", or the other way."""
    leaf = max(_leaves(found, operand), key=lambda node: len(found.space.needs[node]), default=None)
    if leaf is None or not found.groups[other]:
        return "depth"
    strides = found.space.leaves[leaf][1].strides
    ends = {name: strides.get(found.groups[name][-1], 0) for name in ("depth", other) if found.groups[name]}
    return other if ends.get(other) == 1 and ends.get("depth") != 1 else "depth"


def _leaves(found: Product, operand: fx.Node) -> list[fx.Node]:
    reads = {node for maker in found.before[operand] for node in maker.all_input_nodes} | {operand}
    return [node for node in found.space.leaves if node in reads]


def _piece(found: Product, group: str) -> Piece:
    where = found.space
    written = [where.access(node, canonical.meta["val"].stride()) for node, canonical in zip(found.flat.outputs, found.flat.region.outputs, strict=True)]  # fmt: skip
    accesses = [access for _, access in where.leaves.values()] + written
    joined = fused(
        found.groups[group], where.extents, [a for a in accesses if set(a.strides) & set(found.groups[group])]
    )
    names = [group] if len(joined) == 1 else [f"{group}_{position}" for position in range(len(joined))]
    return Piece(
        group, tuple(Loop(n, prod(where.extents[a] for a in axes), axes) for n, axes in zip(names, joined, strict=True))
    )


# ---- parameters


def parameters(here: Region, target: Target) -> tuple[Parameters, ...]:
    """Tiles that fit the registers and divide the rows well; blocks that fit the caches; what is packed beforehand."""
    found = product_of(here)
    rows, columns, batches = (found.extent(name) for name in ("row", "column", "batch"))
    choices: list[dict[str, int | str | bool]] = []
    if min(rows, columns) <= NARROW:
        choices.append({"form": "narrow", "swap": columns < rows})
    sides = (rows, columns, found.extent("depth"), batches)
    for limit, tile in zip((4, 1), _tiles(target.arch, rows, columns), strict=False):
        choices += [{"form": "tiles", **tile, **blocks} for blocks in _blocks(sides, tile, target.cores)[:limit]]
    return tuple(tuple(sorted(choice.items())) for choice in choices)


def _tiles(arch: str, rows: int, columns: int) -> list[dict[str, int]]:
    """Tile heights for the instruction set, by how little they waste; widths in vectors.

    A tile of r x c vectors keeps r * c sums, c operands and one broadcast in registers: 32 with AVX-512 and NEON, else 16.
    """
    tallest = {"avx512": 14, "neon": 14}.get(arch, 6)
    heights = range(min(tallest, rows), max(min(tallest, rows) - 5, 0), -1)
    ranked = sorted(heights, key=lambda height: -(-rows // height) * height * (1 + 0.01 * (tallest - height)))
    width = 1 if columns <= LANES else 2
    return [{"tile_rows": height, "tile_columns": width} for height in ranked[:2]]


def _blocks(sides: tuple[int, int, int, int], tile: Mapping[str, int], cores: int) -> list[dict[str, int | str]]:
    """Ways to cut the product, best guess first. A way is left out where it does not fit a thread's stack."""
    rows, columns, _, batches = sides
    tall = tile["tile_rows"]
    wide = tile["tile_columns"] * LANES
    ways: list[list[dict[str, int | str]]] = [
        [{"pack": "left", "row_block": rows, "column_block": n * wide} for n in (2, 1) if n * wide * 2 * cores <= batches * columns or n == 1],
        [{"pack": "right", "row_block": n * tall, "column_block": columns} for n in (8, 4, 2) if n * tall * 2 * cores <= batches * rows or n == 2],
        [{"pack": "both", "row_block": 12 * tall, "column_block": 8 * wide}],
    ]  # fmt: skip
    if batches > 1:
        ways.insert(0, [{"pack": "none", "row_block": rows, "column_block": columns}])
    return [
        {**fitting[0], "depth_block": size}
        for size in (256, 384)
        for way in ways
        if (fitting := [cut for cut in way if _stack({**tile, **cut, "depth_block": size}, sides) <= STACK])
    ]


def _stack(options: Mapping[str, object], sides: tuple[int, int, int, int]) -> int:
    """Floats on a thread's stack: as `matmul` in matmul.h declares them."""
    rows, columns, depth, _ = sides
    tile_rows, tile_columns = _whole(options["tile_rows"]), _whole(options["tile_columns"]) * LANES
    row_block = _up(min(_whole(options["row_block"]), rows), tile_rows)
    column_block = _up(min(_whole(options["column_block"]), columns), tile_columns)
    depth_block = min(_whole(options["depth_block"]), depth)
    left = 0 if options["pack"] in ("left", "both") else row_block * depth_block
    right = 0 if options["pack"] in ("right", "both") else column_block * depth_block
    return row_block * column_block + left + right


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value


def _up(n: int, step: int) -> int:
    return -(-n // step) * step


# ---- C++


def write(here: Region, parameters: Parameters, language: Language, name: str) -> Kernel:
    if language not in LANGUAGES:
        raise CannotCover(name, f"matmul is not written in {language}; known: {', '.join(LANGUAGES)}")
    options = chosen(parameters, DEFAULTS)
    straight = product_of(here)
    found = straight.swapped if options["swap"] else straight
    if options["form"] == "narrow" and found.extent("row") > NARROW:
        raise CannotCover(name, f"{found.extent('row')} rows; the narrow form takes up to {NARROW}")
    source, scratch = _cpp(found, _plan(found), options, name)
    batches, rows, columns, depth = (found.extent(group) for group in ("batch", "row", "column", "depth"))
    flops = 2.0 * batches * rows * columns * depth + sum(
        elements(node) for node in found.after if node.target not in QUIET | SAME | VIEWS
    )
    return Kernel(
        name, language, source, arguments(found.flat, scratch), flops, moved_bytes(found.flat), ('#include "matmul.h"',)
    )


def _cpp(found: Product, plan: Plan, options: Mapping[str, object], name: str) -> tuple[str, int]:
    batches = {"batches": found.extent("batch"), "left_batches": _batches(found, found.left), "right_batches": _batches(found, found.right)}  # fmt: skip
    sizes = {"rows": found.extent("row"), "columns": found.extent("column"), "depth": found.extent("depth")}
    narrow = options["form"] == "narrow"
    along = {"left_along_depth": int(plan.left_along_depth or narrow), "right_along_depth": int(plan.right_along_depth)}
    if narrow:
        settings = [batches, sizes, along]
        scratch = batches["left_batches"] * sizes["rows"] * _up(sizes["depth"], LANES)
    else:
        before = {"left_before": int(options["pack"] in ("left", "both")), "right_before": int(options["pack"] in ("right", "both"))}  # fmt: skip
        tile = {
            key: _whole(options[key])
            for key in ("tile_rows", "tile_columns", "row_block", "column_block", "depth_block")
        }
        settings = [batches, sizes, tile, before, along]
        scratch = _scratch({**batches, **sizes, **tile, **before}) if any(before.values()) else 0
    lines = [
        f"// {found.node.meta['origin']}: {_shape_text(found)}",
        f"struct {name}_shape {{",
        "    enum : long {",
        *[f"        {', '.join(f'{key} = {value}' for key, value in line.items())}," for line in settings],
        "    };",
        "};",
        "",
        cpp_signature(name, found.flat, scratch),
        "{",
        *indent(_operand(found, plan, found.left, "left", "row", "depth" if along["left_along_depth"] else "row"), 1),
        *indent(
            _operand(found, plan, found.right, "right", "column", "depth" if plan.right_along_depth else "column"), 1
        ),
        *indent(_finish(found, plan), 1),
        f"    {'matmul_narrow' if narrow else 'matmul'}<{name}_shape>(left, right, finish, {'scratch' if scratch else 'nullptr'});",
        "}",
    ]
    return "\n".join(lines) + "\n", scratch


def _scratch(shape: Mapping[str, int]) -> int:
    """Floats that packing beforehand takes with the widest vectors: `left_size` and its like in matmul.h."""
    tall, wide = shape["tile_rows"], shape["tile_columns"] * LANES
    left = shape["left_before"] * shape["left_batches"] * -(-shape["rows"] // tall) * (tall * shape["depth"] + LANES)
    right = (
        shape["right_before"] * shape["right_batches"] * -(-shape["columns"] // wide) * (wide * shape["depth"] + LANES)
    )
    return left + right


def _batches(found: Product, operand: fx.Node) -> int:
    return found.extent("batch") if found.space.needs[operand] & set(found.groups["batch"]) else 1


def _shape_text(found: Product) -> str:
    rows, depth, columns = (found.extent(group) for group in ("row", "depth", "column"))
    each = f"[{rows}, {depth}] x [{depth}, {columns}]"
    return f"{each}, {found.extent('batch')} times" if found.groups["batch"] else each


def _operand(found: Product, plan: Plan, operand: fx.Node, name: str, counter: str, along: str) -> list[str]:
    """`const auto left = [=](long batch, long row, long depth, auto lanes) { return load(...); };`"""
    known, fetched = _reads(found, plan, _leaves(found, operand), along)
    body = statements(found.before[operand], known, CPP)
    result = body.known[operand]
    value = result.text if result.vector else f"all({result.text})"
    return _function(name, plan, ("batch", counter, "depth"), "auto lanes", [*fetched, *body.lines, f"return {value};"])


def _finish(found: Product, plan: Plan) -> list[str]:
    """What happens to each piece of the product, up to the stores."""
    reads = {node for call in (found.node, *found.after) for node in call.all_input_nodes if node in found.space.leaves}
    if len(found.node.args) == 2:
        reads -= {found.left, found.right} - {n for call in found.after for n in call.all_input_nodes}
    elif found.node.args[0] not in (found.left, found.right):
        reads -= {found.left, found.right} - {n for call in found.after for n in call.all_input_nodes}
    known, fetched = _reads(found, plan, [n for n in found.space.leaves if n in reads], "column")
    total, lines = _total(found, known)
    known[found.node] = total
    body = statements(found.after, known, CPP)
    stores = []
    for node, text, canonical in zip(
        found.flat.outputs, output_names(found.flat), found.flat.region.outputs, strict=True
    ):
        access = found.space.access(node, canonical.meta["val"].stride())
        stores.append(_store(text, access, plan, body.known[node]))
    return _function(
        "finish", plan, ("batch", "row", "column"), "vec product, auto lanes", [*fetched, *lines, *body.lines, *stores]
    )


def _total(found: Product, known: Mapping[fx.Node, Text]) -> tuple[Text, list[str]]:
    """The product's value: for addmm and baddbmm with what they add."""
    speller = Speller(CPP, known)
    total = Text("product", ATOM, "float", True)
    if len(found.node.args) == 3:
        beta, alpha = (found.node.kwargs.get(name, 1) for name in ("beta", "alpha"))
        added = speller.operand(found.node.args[0], "float")
        scaled = [text if factor == 1 else speller.word("multiply", [speller.number(factor, "float"), text])
                  for factor, text in ((alpha, total), (beta, added))]  # type: ignore[arg-type]  # fmt: skip
        total = speller.word("add", scaled) if beta != 0 else scaled[0]
    if total.text == "product":
        return total, []
    name = identifier(found.node.meta["origin"])
    return Text(name, ATOM, "float", True), [declare(name, total, CPP)]


def _reads(found: Product, plan: Plan, leaves: Sequence[fx.Node], along: str) -> tuple[dict[fx.Node, Text], list[str]]:
    """How each leaf's elements read where vectors run along one counter."""
    names = input_names(found.flat)
    every = [loop for piece in plan.pieces.values() for loop in piece.loops]
    inner = plan.pieces[along].loops[-1:] or ()
    known: dict[fx.Node, Text] = {}
    lines = []
    for node in leaves:
        source, access = found.space.leaves[node]
        stride = inner[0].stride(access) if inner else 0
        vector = bool(stride) or (
            bool(inner) and bool(found.space.needs[node] & {a for loop in plan.pieces[along].loops for a in loop.axes})
        )
        if not vector:
            text = element(names[source], access, every)
        else:
            text = f"load({address(names[source], access, every)}, {'' if stride == 1 else f'{stride}, '}lanes)"
        if len(node.users) > 1:
            name = f"{identifier(node.name)}_at"
            lines.append(declare(name, Text(text, ATOM, kind_of(node), vector), CPP))
            text = name
        known[node] = Text(text, ATOM, kind_of(node), vector)
    return known, lines


def _store(pointer: str, access: Access, plan: Plan, value: Text) -> str:
    every = [loop for piece in plan.pieces.values() for loop in piece.loops]
    inner = plan.pieces["column"].loops[-1:]
    stride = inner[0].stride(access) if inner else 1
    text = value.text if value.vector else f"all({value.text})"
    return f"store({address(pointer, access, every)}, {'' if stride == 1 else f'{stride}, '}{text}, lanes);"


def _function(name: str, plan: Plan, counters: Sequence[str], rest: str, lines: Sequence[str]) -> list[str]:
    """A lambda over the counters; those that are cut into pieces are taken apart first, unused ones have no name."""
    text = "\n".join(lines)
    words = {loop.name for counter in counters for loop in plan.pieces[counter].loops if _mentions(text, loop.name)}
    parts = [line for counter in counters for line in plan.pieces[counter].lines(words)]
    whole = "\n".join([*parts, text])
    declared = ", ".join(f"long {counter}" if _mentions(whole, counter) else "long" for counter in counters)
    return [f"const auto {name} = [=]({declared}, {rest}) {{", *indent([*parts, *lines], 1), "};"]


def _mentions(text: str, word: str) -> bool:
    import re

    return re.search(rf"\b{word}\b", text) is not None
