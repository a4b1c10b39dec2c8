"""Pointwise loops in Triton: one program for each block of elements, whatever their dimensions."""

from __future__ import annotations

from math import prod

from kernelwright.kernels.arguments import input_names, outputs
from kernelwright.kernels.body import indent, statements
from kernelwright.kernels.expr import TRITON
from kernelwright.kernels.nest import Nest
from kernelwright.kernels.triton import FAR, block_reads, block_write, helpers


def map_triton(nest: Nest, name: str, block: int) -> str:
    total = prod(loop.extent for loop in nest.every)
    names = input_names(nest.flat)
    known, loads = block_reads(nest.sources, frozenset(nest.computed), nest.space, names, nest.every, "mask")
    body = statements(nest.computed, known, TRITON)
    block_names = [nest.inner.name] if not nest.outer else []
    stores = [
        block_write(
            output.pointer,
            nest.space.access(output.node, output.strides),
            body.known[output.node],
            nest.every,
            "mask",
            block_names,
        )
        for output in outputs(nest.flat)
    ]
    pointers = ", ".join([*names.values(), *(output.pointer for output in outputs(nest.flat))])
    program = "tl.program_id(0).to(tl.int64)" if total > FAR else "tl.program_id(0)"
    lines = [
        f"{_counter(nest)} = {program} * {block} + tl.arange(0, {block})",
        f"mask = {_counter(nest)} < {total}",
        *_indices(nest),
        *loads,
        *body.lines,
        *stores,
    ]
    return "\n".join([
        *helpers(lines),
        "@triton.jit",
        f"def {name}_kernel({pointers}):",
        *indent(lines, 1),
        "",
        "",
        f"def {name}({pointers}):",
        f"    {name}_kernel[({-(-total // block)},)]({pointers})",
    ]) + "\n"  # fmt: skip


def _counter(nest: Nest) -> str:
    """The name of a block's elements: the loop's own where there is one."""
    return nest.inner.name if not nest.outer else "offsets"


def _indices(nest: Nest) -> list[str]:
    """Each dimension's index, from the number of the element."""
    lines, inner = [], 1
    for position, loop in reversed(list(enumerate(nest.every))):
        whole = "offsets" if inner == 1 else f"offsets // {inner}"
        lines.append(f"{loop.name} = {whole}" + (f" % {loop.extent}" if position else ""))
        inner *= loop.extent
    return lines[::-1] if nest.outer else []
