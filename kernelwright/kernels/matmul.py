"""Matrix products in fp32 with what comes before and after them: one product, pointwise work fused on both sides.

    y = gelu(linear(x, weight, bias)) + residual        one pass: loads pack, the product runs in registers, and each
                                                        finished tile goes through bias, gelu and residual in cache

Packing reads operands through a function, so transposed and strided operands and pointwise work on them cost nothing
more. Nothing is kept between calls: weights are packed anew each time, which takes a few percent of a large product.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx

from kernelwright.core.spec import Target
from kernelwright.kernels.arguments import arguments, arithmetic, moved_bytes
from kernelwright.kernels.flat import PRODUCTS, decomposed
from kernelwright.kernels.kernel import Kernel, Language, Parameters
from kernelwright.kernels.matmul_cpp import NARROW, STACK, cpp_matmul, stack_floats
from kernelwright.kernels.matmul_triton import triton_matmul
from kernelwright.kernels.product import LANES, Product, product_of
from kernelwright.kernels.region import CannotCover, Region, grown, region
from kernelwright.kernels.skeleton import chosen

NAME = "matmul"
LANGUAGES: tuple[Language, ...] = ("cpp", "triton")

# form "tiles" cuts the product and packs; "narrow" streams one operand past the few rows of the other. `pack` says what
# is packed before the product starts, the rest is packed by whoever needs it. Tile columns count vectors.
DEFAULTS: Mapping[str, int | str | bool] = {
    "form": "tiles", "swap": False, "pack": "left", "tile_rows": 14, "tile_columns": 2, "row_block": 1024,
    "column_block": 64, "depth_block": 256,
}  # fmt: skip

Sides = tuple[int, int, int, int]  # rows, columns, depth, batches
Choice = dict[str, int | str | bool]


def claims(node: fx.Node) -> bool:
    """linear, mm, addmm, bmm, baddbmm, matmul, ... in fp32."""
    try:
        if not any(call.target in PRODUCTS for call in decomposed(node).nodes):
            return False
        product_of(region(NAME, [node]))
    except CannotCover:
        return False
    return True


def absorbs(here: Region, node: fx.Node) -> bool:
    """Pointwise consumers, pointwise producers of an operand, and views between."""
    try:
        product_of(grown(here, node))
    except CannotCover:
        return False
    return True


def parameters(here: Region, target: Target) -> tuple[Parameters, ...]:
    """Tiles that fit the registers and divide the rows well; blocks that fit the caches; what is packed beforehand."""
    found = product_of(here)
    sides = (found.row.extent, found.column.extent, found.depth.extent, found.batch.extent)
    if target.kind != "cpu":
        return tuple(tuple(sorted(choice.items())) for choice in _triton_blocks(sides))
    choices: list[Choice] = []
    if min(sides[:2]) <= NARROW:
        choices.append({"form": "narrow", "swap": sides[1] < sides[0]})
    for limit, tile in zip((4, 1), _tiles(target.arch, *sides[:2]), strict=False):
        choices += _ways(sides, tile, target.cores)[:limit]
    return tuple(tuple(sorted(choice.items())) for choice in choices)


def write(here: Region, parameters: Parameters, language: Language, name: str) -> Kernel:
    """Raises CannotCover for a region around no single product, and where the narrow form meets many rows."""
    if language not in LANGUAGES:
        raise CannotCover(name, f"matmul is not written in {language}; known: {', '.join(LANGUAGES)}")
    options, straight = chosen(parameters, DEFAULTS), product_of(here)
    found = straight.swapped if options["swap"] else straight
    source, scratch = (
        cpp_matmul(found, options, name) if language == "cpp" else (triton_matmul(found, options, name), 0)
    )
    headers = ('#include "matmul.h"',) if language == "cpp" else ("import triton", "import triton.language as tl")
    return Kernel(
        name, language, source, arguments(found.flat, scratch), _flops(found), moved_bytes(found.flat), headers
    )


def _flops(found: Product) -> float:
    sides = (found.batch, found.row, found.column, found.depth)
    total = 2.0
    for side in sides:
        total *= side.extent
    return total + arithmetic(found.after)


def _tiles(arch: str, rows: int, columns: int) -> list[Choice]:
    """Tile heights for the instruction set, by how little they waste.

    A tile of r x c vectors has r * c sums, c operands and a broadcast in registers: AVX-512 and NEON have 32, else 16.
    """
    tallest = {"avx512": 14, "neon": 14}.get(arch, 6)
    heights = range(min(tallest, rows), max(min(tallest, rows) - 5, 0), -1)
    ranked = sorted(heights, key=lambda height: -(-rows // height) * height * (1 + 0.01 * (tallest - height)))
    return [{"tile_rows": height, "tile_columns": 1 if columns <= LANES else 2} for height in ranked[:2]]


def _ways(sides: Sides, tile: Choice, cores: int) -> list[Choice]:
    """Ways to cut and pack, best guess first; each with the largest blocks that feed all cores and fit a stack."""
    rows, columns, _, batches = sides
    tall, wide = int(tile["tile_rows"]), int(tile["tile_columns"]) * LANES
    feeding = {
        "left": [n * wide for n in (2, 1) if n == 1 or n * wide * 2 * cores <= batches * columns],
        "right": [n * tall for n in (8, 4, 2) if n == 2 or n * tall * 2 * cores <= batches * rows],
    }
    families: list[list[Choice]] = [
        [{"pack": "none", "row_block": rows, "column_block": columns}] if batches > 1 else [],
        [{"pack": "left", "row_block": rows, "column_block": size} for size in feeding["left"]],
        [{"pack": "right", "row_block": size, "column_block": columns} for size in feeding["right"]],
        [{"pack": "both", "row_block": 12 * tall, "column_block": 8 * wide}],
    ]
    ways: list[Choice] = []
    for depth in (256, 384):
        for family in families:
            cuts = [{"form": "tiles", **tile, **cut, "depth_block": depth} for cut in family]
            ways += [cut for cut in cuts if stack_floats(cut, sides) <= STACK][:1]
    return ways


def _triton_blocks(sides: Sides) -> list[Choice]:
    """Blocks for one program: square ones, smaller where the product is."""
    rows, columns, depth, _ = sides
    small = 32 if min(rows, columns) <= 32 else 64
    deep = 32 if depth >= 32 else 16
    return [{"row_block": size, "column_block": size, "depth_block": deep} for size in (small, 128)]
