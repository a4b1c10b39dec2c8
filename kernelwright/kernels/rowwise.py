"""Reductions with pointwise work before, between and after them: norms, softmax, losses, statistics.

    layer_norm, softmax, logsumexp, rms_norm, var_mean, cross_entropy, mse_loss, mean over any dimensions

One row stays in cache while several passes run over it. Vectors run along the row where its elements are neighbours in
memory; where those of neighbouring rows are, each lane is a row of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx

from kernelwright.core.spec import Target
from kernelwright.kernels.arguments import arguments, arithmetic, moved_bytes
from kernelwright.kernels.kernel import Kernel, Language, Parameters
from kernelwright.kernels.region import CannotCover, Region, grown, region
from kernelwright.kernels.rows import Rows, passes, rows_of
from kernelwright.kernels.rowwise_across import neighbouring_rows
from kernelwright.kernels.rowwise_along import Written, can_keep_in_output, shared_rows, whole_rows
from kernelwright.kernels.skeleton import chosen

NAME = "rowwise"
LANGUAGES: tuple[Language, ...] = ("cpp",)

# form "rows": a thread takes whole rows; "shared": threads share each row in chunks; "across": each lane is a row, with
# `strip` rows side by side. `keep` says where expensive values stay between passes: "row", "output" or "nothing".
DEFAULTS: Mapping[str, int | str | bool] = {
    "form": "rows", "keep": "nothing", "stream": False, "chunk": 16384, "strip": 256,
}  # fmt: skip

KEPT = 16384  # floats of a row that a thread keeps beside it: 64 KiB, of the second-level cache
PIECES = 4096  # of one row that threads share: their results stand on the stack
STREAM_FROM = 32 << 20  # bytes of output: what is larger than most last-level caches is not read again from them
LANES = 16


def claims(node: fx.Node) -> bool:
    """A call that contains a reduction."""
    return _covers(region(NAME, [node]))


def absorbs(here: Region, node: fx.Node) -> bool:
    """Neighbours whose reductions run over the same dimensions, and pointwise work on rows."""
    return _covers(grown(here, node))


def parameters(here: Region, target: Target) -> tuple[Parameters, ...]:
    """Whether threads take rows or share them; where expensive values stay; how many rows stand side by side."""
    found = rows_of(here)
    if found.across:
        return tuple((("form", "across"), ("strip", strip)) for strip in _strips(found, target.cores))
    whole = [
        (("form", "rows"), ("keep", keep), ("stream", stream)) for keep in _keeps(found) for stream in _streams(found)
    ]
    if found.row_count >= 2 * target.cores or found.row_length < 1024 * target.cores:
        return tuple(whole)
    chunk = max(1024, -(-found.row_length // (8 * target.cores) // LANES) * LANES)
    if len(found.reduced) > 1 and found.reduced[0].extent > PIECES:
        return tuple(whole)
    shared = (("form", "shared"), ("chunk", chunk))
    return (shared, *whole) if found.row_length >= KEPT else (*whole, shared)


def write(here: Region, parameters: Parameters, language: Language, name: str) -> Kernel:
    """Raises CannotCover for a region that is not rowwise, or a language that rowwise is not written in."""
    if language not in LANGUAGES:
        raise CannotCover(name, f"rowwise is not written in {language}; known: {', '.join(LANGUAGES)}")
    found = rows_of(here)
    written = _text(found, name, chosen(parameters, DEFAULTS))
    flops = (
        sum(arithmetic([*one.body, *one.reductions]) for one in passes(found, keep=False))
        + found.row_count * found.row_length
    )
    memory = arguments(found.flat, written.scratch)
    return Kernel(name, language, written.source, memory, flops, moved_bytes(found.flat), ('#include "simd.h"',))


def _covers(here: Region) -> bool:
    try:
        rows_of(here)
    except CannotCover:
        return False
    return True


def _keeps(found: Rows) -> list[str]:
    if not any(one.kept for one in passes(found, keep=True)):
        return ["nothing"]
    places = ["row"] if found.row_length <= KEPT else []
    return [*places, *(["output"] if not places and can_keep_in_output(found) else []), "nothing"]


def _streams(found: Rows) -> list[bool]:
    """Streaming stores for outputs larger than the caches; tried as well where an output may or may not fit."""
    written = sum(argument.spec.nbytes for argument in arguments(found.flat) if argument.role == "output")
    large = written > STREAM_FROM
    return [large, not large] if written > STREAM_FROM // 4 else [False]


def _strips(found: Rows, cores: int) -> list[int]:
    """Rows side by side: few enough to have work for all cores, and results that stay in the first-level cache."""
    inner = found.rows[-1].extent
    tasks = found.row_count // inner
    wanted = [strip for strip in (256, 64, 1024, 16) if tasks * -(-inner // strip) >= 2 * cores]
    return wanted[:2] or [LANES]


def _text(found: Rows, name: str, options: Mapping[str, int | str | bool]) -> Written:
    if found.across:
        return neighbouring_rows(found, name, int(options["strip"]))
    if options["form"] == "shared":
        return shared_rows(found, name, int(options["chunk"]))
    return whole_rows(found, name, str(options["keep"]), "stream" if options["stream"] else "store")
