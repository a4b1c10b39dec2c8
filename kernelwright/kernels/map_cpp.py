"""Pointwise loops in C++."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from kernelwright.kernels.arguments import cpp_signature, input_names, outputs
from kernelwright.kernels.body import indent, statements
from kernelwright.kernels.expr import CPP
from kernelwright.kernels.nest import Nest
from kernelwright.kernels.reads import Place, header, nested, parallel_for, reads, write

LONG_BODY = 12  # lines of a vector's work: from there on one vector at a time fills the registers


def map_cpp(nest: Nest, name: str, block: int, tile: int, store: str) -> str:
    """`block` elements of the innermost loop are one task. With `tile`, so many steps of a loop along which an input
    lies are taken in each task too, so that its lines are used while they are in cache. `store` is "store", or "stream"
    to pass by the caches."""
    inner, turned = nest.inner, nest.turned if tile else None
    headers, span = [header(loop) for loop in nest.outer if loop is not turned], f"0, {inner.extent}"
    if turned is not None:
        headers.append(f"for (long tile = 0; tile < {turned.extent}; tile += {tile})")
    if inner.extent > 2 * block:
        headers.append(f"for (long block = 0; block < {inner.extent}; block += {block})")
        span = f"block, least(block + {block}, {inner.extent})"
    outside, inside = _statements(nest, store)
    unroll = 1 if len(inside) > LONG_BODY else 2
    lines = [*outside, f"each<{unroll}>({span}, [&](long {inner.name}, int, auto lanes) {{", *indent(inside, 1), "});"]
    if turned is not None:
        steps = (
            f"for (long {turned.name} = tile; {turned.name} < least(tile + {tile}, {turned.extent}); ++{turned.name})"
        )
        lines = nested([steps], lines)
    body = _parallel(headers, lines, prod(loop.extent for loop in nest.every), store)
    return "\n".join([cpp_signature(name, nest.flat), "{", *indent(body, 1), "}"]) + "\n"


def _parallel(headers: Sequence[str], lines: Sequence[str], total: int, store: str) -> list[str]:
    """The loops, shared among the threads where there is enough to do."""
    loops, ends = nested(headers, lines), ["stream_end();"] if store == "stream" else []
    shared = parallel_for(headers, total)
    if shared and ends:
        return ["#pragma omp parallel", "{", *indent([shared[0].replace(" parallel", ""), *loops, *ends], 1), "}"]
    return [*shared, *loops, *ends]


def _statements(nest: Nest, store: str) -> tuple[list[str], list[str]]:
    """Lines outside the vector loop, and inside it."""
    place = Place(nest.space, input_names(nest.flat), nest.every, nest.inner)
    changing = [node for node in nest.computed if place.changes(node)]
    steady = [node for node in nest.computed if not place.changes(node)]
    used = frozenset(nest.computed)
    known, fetched = reads([node for node in nest.sources if not place.changes(node)], used, place)
    written = {output.node for output in outputs(nest.flat)}
    early = statements(steady, known, CPP, {n for n in steady if n in written or any(u in changing for u in n.users)})
    inside, loads = reads([node for node in nest.sources if place.changes(node)], used, place)
    late = statements(changing, {**early.known, **inside}, CPP)
    stores = [
        write(output.pointer, nest.space.access(output.node, output.strides), late.known[output.node], place, store)
        for output in outputs(nest.flat)
    ]
    return [*fetched, *early.lines], [*loads, *late.lines, *stores]
