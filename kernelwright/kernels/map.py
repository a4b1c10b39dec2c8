"""Pointwise work: any number of inputs and outputs, broadcast and strided as they come, in one pass over memory.

    sub = x - mean; mul = sub * scale; relu = relu(mul)        one loop, one read of x, one write

Loops follow the first output's memory. Dimensions that every tensor steps through like one run as one; the innermost
is taken by vectors. Work that does not change along it is done once, outside.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx

from kernelwright.core.spec import Target
from kernelwright.kernels.arguments import arguments, arithmetic, moved_bytes
from kernelwright.kernels.body import QUIET
from kernelwright.kernels.flat import SAME, VIEWS
from kernelwright.kernels.kernel import Kernel, Language, Parameters
from kernelwright.kernels.map_cpp import map_cpp
from kernelwright.kernels.map_triton import map_triton
from kernelwright.kernels.nest import nest_of
from kernelwright.kernels.region import CannotCover, Region, grown, region
from kernelwright.kernels.skeleton import chosen

NAME = "map"
LANGUAGES: tuple[Language, ...] = ("cpp", "triton")
DEFAULTS: Mapping[str, int | str | bool] = {"block": 16384, "tile": 0, "stream": False}

STREAM_FROM = 32 << 20  # bytes of output: what is larger than most last-level caches is not read again from them


def claims(node: fx.Node) -> bool:
    """Any pointwise call that computes; copies and views are left to PyTorch."""
    try:
        nest = nest_of(region(NAME, [node]))
    except CannotCover:
        return False
    return any(call.target not in VIEWS | SAME | QUIET for call in nest.flat.nodes)


def absorbs(here: Region, node: fx.Node) -> bool:
    """Neighbours that run over the same elements."""
    try:
        nest_of(grown(here, node))
    except CannotCover:
        return False
    return True


def parameters(here: Region, target: Target) -> tuple[Parameters, ...]:
    """Elements of a task; tiles where an input is turned; whether stores pass by the caches, tried both ways where the
    output may or may not fit."""
    if target.kind != "cpu":
        return tuple((("block", block),) for block in (1024, 4096))
    if nest_of(here).turned is not None:
        return tuple((("block", block), ("tile", 32)) for block in (16, 64))
    written = sum(argument.spec.nbytes for argument in arguments(nest_of(here).flat) if argument.role == "output")
    large = written > STREAM_FROM
    ways = (large, not large) if written > STREAM_FROM // 8 else (large,)
    return tuple((("block", 16384), ("stream", stream)) for stream in ways)


def write(here: Region, parameters: Parameters, language: Language, name: str) -> Kernel:
    """Raises CannotCover for a region that is not pointwise, or a language that map is not written in."""
    if language not in LANGUAGES:
        raise CannotCover(name, f"map is not written in {language}; known: {', '.join(LANGUAGES)}")
    nest, options = nest_of(here), chosen(parameters, DEFAULTS)
    block, store = int(options["block"]), "stream" if options["stream"] else "store"
    source = (
        map_cpp(nest, name, block, int(options["tile"]), store) if language == "cpp" else map_triton(nest, name, block)
    )
    headers = ('#include "simd.h"',) if language == "cpp" else ("import triton", "import triton.language as tl")
    return Kernel(
        name, language, source, arguments(nest.flat), arithmetic(nest.flat.nodes), moved_bytes(nest.flat), headers
    )
