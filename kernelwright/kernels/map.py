"""Pointwise work: any number of inputs and outputs, broadcast and strided as they come, in one pass over memory.

    sub = x - mean; mul = sub * scale; relu = relu(mul)        one loop, one read of x, one write

Loops follow the first output's memory. Dimensions that every tensor steps through like one run as one; the innermost
is taken by vectors. Work that does not change along it is done once, outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import fx

from kernelwright.core.spec import Target
from kernelwright.kernels import expr
from kernelwright.kernels.arguments import (
    arguments, check_outputs, cpp_signature, elements, input_names, moved_bytes, output_names,
)  # fmt: skip
from kernelwright.kernels.axes import SAME, VIEWS, Access, Space, space
from kernelwright.kernels.body import QUIET, identifier, indent, statements
from kernelwright.kernels.expr import CPP, Text, kind_of
from kernelwright.kernels.flat import Flat, flat, refuse
from kernelwright.kernels.kernel import Kernel, Language, Parameters
from kernelwright.kernels.loops import Loop, address, by_stride, element, fused, loops
from kernelwright.kernels.region import CannotCover, Region, grown, region
from kernelwright.kernels.skeleton import chosen

aten = torch.ops.aten

NAME = "map"
LANGUAGES: tuple[Language, ...] = ("cpp",)
DEFAULTS = {"block": 16384, "stream": False}

PARALLEL_FROM = 32768  # elements: below, waking the other threads costs more than they save (2 to 5 us)
STREAM_FROM = 32 << 20  # bytes of output: what is larger than most last-level caches is not read again from them
LOOP_NAMES = ("i", "j", "k", "l", "m", "n", "o", "p")


@dataclass(frozen=True)
class Nest:
    """A pointwise region with its loops: outer ones, then the one that vectors take."""

    flat: Flat
    space: Space
    outer: tuple[Loop, ...]
    inner: Loop


def claims(node: fx.Node) -> bool:
    """Any pointwise call that computes; copies and views are left to PyTorch."""
    try:
        nest = nest_of(region(NAME, [node]))
    except CannotCover:
        return False
    return any(call.target not in VIEWS | SAME | QUIET for call in nest.flat.nodes)


def absorbs(here: Region, node: fx.Node) -> bool:
    try:
        nest_of(grown(here, node))
    except CannotCover:
        return False
    return True


def parameters(here: Region, target: Target) -> tuple[Parameters, ...]:
    """Streaming stores for outputs larger than the caches; tried as well where an output may or may not fit."""
    written = sum(argument.spec.nbytes for argument in arguments(flat(here)) if argument.role == "output")
    large = written > STREAM_FROM
    guess: Parameters = (("block", 16384), ("stream", large))
    return (guess, (("block", 16384), ("stream", not large))) if written > STREAM_FROM // 8 else (guess,)


def write(here: Region, parameters: Parameters, language: Language, name: str) -> Kernel:
    if language not in LANGUAGES:
        raise CannotCover(name, f"map is not written in {language}; known: {', '.join(LANGUAGES)}")
    nest = nest_of(here)
    options = chosen(parameters, DEFAULTS)
    source = _cpp(nest, name, block=int(options["block"]), store="stream" if options["stream"] else "store")
    work = sum(elements(node) for node in nest.flat.nodes if node.target not in VIEWS | SAME | QUIET)
    return Kernel(
        name, language, source, arguments(nest.flat), float(work), moved_bytes(nest.flat), ('#include "simd.h"',)
    )


def nest_of(here: Region) -> Nest:
    """Raises CannotCover where the region is not one pointwise loop nest."""
    return _nest(flat(here))


def _nest(body: Flat) -> Nest:
    check_outputs(body)
    for node in body.nodes:
        if not expr.can_spell(node) and node.target not in VIEWS and node.target is not aten.arange.start_step:
            raise refuse(node, f"{node.target} is not pointwise")
        kind_of(node)
    where = space(body)
    written = [where.access(node, canonical.meta["val"].stride()) for node, canonical in zip(body.outputs, body.region.outputs, strict=True)]  # fmt: skip
    everywhere = set(where.extents)
    for node, access in zip(body.outputs, written, strict=True):
        if set(access.strides) != everywhere:
            raise refuse(node, "runs over fewer elements than the rest of the region")
    read = [access for _, access in where.leaves.values()]
    order = by_stride(sorted(everywhere), written[0])
    groups = fused(order, where.extents, [*written, *read], alone=_counted(body, where))
    *outer, inner = loops(groups, LOOP_NAMES, where.extents) or [Loop("i", 1, ())]
    return Nest(body, where, tuple(outer), inner)


def _counted(body: Flat, where: Space) -> set[int]:
    """Axes whose counter is itself a value."""
    return {axis for node in body.nodes if node.target is aten.arange.start_step for axis in where.needs[node]}


# ---- C++


def _cpp(nest: Nest, name: str, *, block: int, store: str) -> str:
    body = nest.flat
    inner, total = nest.inner, elements(body.outputs[0])
    blocked = inner.extent > 2 * block
    headers = [f"for (long {loop.name} = 0; {loop.name} < {loop.extent}; ++{loop.name})" for loop in nest.outer]
    if blocked:
        headers.append(f"for (long block = 0; block < {inner.extent}; block += {block})")
    span = f"block, least(block + {block}, {inner.extent})" if blocked else f"0, {inner.extent}"
    outside, inside = _statements(nest, store)
    lines = [
        *outside,
        f"each<{1 if len(inside) > 12 else 2}>({span}, [&](long {inner.name}, int, auto lanes) {{",
        *indent(inside, 1),
        "});",
    ]
    return "\n".join([cpp_signature(name, body), "{", *indent(_parallel(headers, lines, total, store), 1), "}"]) + "\n"


def _parallel(headers: list[str], lines: list[str], total: int, store: str) -> list[str]:
    """The loops, shared among the threads where there is enough to do."""
    nested = lines
    for depth, header in enumerate(reversed(headers)):
        braces = depth == 0 and (len(lines) > 1)
        nested = [f"{header} {{", *indent(nested, 1), "}"] if braces else [header, *indent(nested, 1)]
    if not headers or total < PARALLEL_FROM:
        return [*nested, *(["stream_end();"] if store == "stream" else [])]
    collapse = f" collapse({len(headers)})" if len(headers) > 1 else ""
    if store == "stream":
        return ["#pragma omp parallel", "{", *indent([f"#pragma omp for{collapse}", *nested, "stream_end();"], 1), "}"]
    return [f"#pragma omp parallel for{collapse}", *nested]


def _statements(nest: Nest, store: str) -> tuple[list[str], list[str]]:
    """Lines outside the vector loop, and inside it."""
    body, where, inner = nest.flat, nest.space, nest.inner
    changes = {node: bool(where.needs[node] & set(inner.axes)) for node in where.dims}
    computed = [
        n for n in body.nodes if n in where.dims and n not in where.leaves and n.target is not aten.arange.start_step
    ]
    known, fetched = fetch(nest, changes)
    early = statements([n for n in computed if not changes[n]], known, CPP, keep=_read_inside(computed, changes, body))
    late = statements([n for n in computed if changes[n]], early.known, CPP, keep=set())
    stores = []
    for node, text, canonical in zip(body.outputs, output_names(body), body.region.outputs, strict=True):
        access = where.access(node, canonical.meta["val"].stride())
        stores.append(stored(store, text, access, nest, late.known[node]))
    return [*fetched[False], *early.lines], [*fetched[True], *late.lines, *stores]


def fetch(nest: Nest, changes: dict[fx.Node, bool]) -> tuple[dict[fx.Node, Text], dict[bool, list[str]]]:
    """How each leaf reads; lines for those that are read more than once, by whether they change along the vector."""
    names, every = input_names(nest.flat), (*nest.outer, nest.inner)
    known: dict[fx.Node, Text] = {}
    lines: dict[bool, list[str]] = {False: [], True: []}
    for node in (*nest.space.leaves, *(n for n in nest.flat.nodes if n.target is aten.arange.start_step)):
        vector = changes[node]
        if node in nest.space.leaves:
            source, access = nest.space.leaves[node]
            text = _load(names[source], access, every, vector)
        else:
            text = _counter(node, nest, vector)
        reads = sum(user not in nest.space.leaves for user in node.users)
        if reads > 1:
            kind = expr.Text(text, expr.ATOM, kind_of(node), vector)
            name = f"{identifier(node.name)}_at"
            from kernelwright.kernels.body import declare

            lines[vector].append(declare(name, kind, CPP))
            text = name
        known[node] = Text(text, expr.ATOM, kind_of(node), vector)
    return known, lines


def _load(pointer: str, access: Access, every: tuple[Loop, ...], vector: bool) -> str:
    if not vector:
        return element(pointer, access, every)
    stride = every[-1].stride(access)
    where = address(pointer, access, every)
    return f"load({where}, lanes)" if stride == 1 else f"load({where}, {stride}, lanes)"


def stored(store: str, pointer: str, access: Access, nest: Nest, value: Text) -> str:
    stride = nest.inner.stride(access)
    where = address(pointer, access, (*nest.outer, nest.inner))
    text = value.text if value.vector else f"all({value.text})"
    if stride > 1 or (stride == 0 and nest.inner.extent > 1):
        return f"store({where}, {stride}, {text}, lanes);"
    return f"{store if value.kind == 'float' else 'store'}({where}, {text}, lanes);"


def _counter(node: fx.Node, nest: Nest, vector: bool) -> str:
    """arange: first + step * index."""
    first, last = (int(arg) for arg in node.args[:2])  # type: ignore[arg-type]
    step = int(node.args[2]) if len(node.args) > 2 else 1  # type: ignore[arg-type]
    loop = next((loop for loop in (*nest.outer, nest.inner) if set(loop.axes) & nest.space.needs[node]), None)
    index = f"{first} + {step} * {loop.name}" if loop else str(first)
    return f"ascending({index}, {step})" if vector else f"({index})"


def _read_inside(computed: list[fx.Node], changes: dict[fx.Node, bool], body: Flat) -> set[fx.Node]:
    """Values that do not change along the vector, read by some that do."""
    return {node for node in computed if not changes[node] and (node in body.outputs or any(changes.get(user, False) for user in node.users))}  # fmt: skip
