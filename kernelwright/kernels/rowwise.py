"""Reductions with pointwise work before, between and after them: norms, softmax, losses, statistics.

    layer_norm, softmax, logsumexp, rms_norm, var_mean, cross_entropy, mse_loss, mean over any dimensions

One row stays in cache while several passes run over it. Vectors run along the row where its elements are neighbours in
memory; where those of neighbouring rows are, each lane is a row of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx

from kernelwright.core.spec import Target
from kernelwright.kernels.across import neighbouring_rows
from kernelwright.kernels.along import Written, shared_rows, whole_rows
from kernelwright.kernels.arguments import arguments, elements, moved_bytes
from kernelwright.kernels.axes import SAME, VIEWS
from kernelwright.kernels.body import QUIET
from kernelwright.kernels.kernel import Kernel, Language, Parameters
from kernelwright.kernels.region import CannotCover, Region, grown, region
from kernelwright.kernels.rows import Rows, passes, rows_of
from kernelwright.kernels.skeleton import chosen

NAME = "rowwise"
LANGUAGES: tuple[Language, ...] = ("cpp",)
DEFAULTS: Mapping[str, int | str | bool] = {"form": "rows", "keep": False, "chunk": 16384, "strip": 256}

KEPT = 16384  # floats of a row that are kept between passes: 64 KiB, of the second-level cache
LANES = 16


def claims(node: fx.Node) -> bool:
    """A call that contains a reduction."""
    return _covers(region(NAME, [node]))


def absorbs(here: Region, node: fx.Node) -> bool:
    return _covers(grown(here, node))


def _covers(here: Region) -> bool:
    try:
        rows_of(here)
    except CannotCover:
        return False
    return True


def parameters(here: Region, target: Target) -> tuple[Parameters, ...]:
    """Whether threads take rows or share them; whether expensive values are kept; how many rows stand side by side."""
    found = rows_of(here)
    if found.across:
        return tuple((("form", "across"), ("strip", strip)) for strip in _strips(found, target.cores))
    choices: list[Parameters] = []
    keeps = any(one.kept for one in passes(found, keep=True)) and found.row_length <= KEPT
    choices += [(("form", "rows"), ("keep", keep)) for keep in ((True, False) if keeps else (False,))]
    if found.row_count < 2 * target.cores and found.row_length >= 2 * LANES * target.cores:
        pieces = 8 * target.cores
        chunk = max(1024, -(-found.row_length // pieces // LANES) * LANES)
        choices.insert(0 if found.row_length >= KEPT else 1, (("form", "shared"), ("chunk", chunk)))
    return tuple(choices)


def _strips(found: Rows, cores: int) -> list[int]:
    """Rows side by side: few enough to have work for all cores, and results that stay in the first-level cache."""
    inner = found.rows[-1].extent
    tasks = found.row_count // inner
    wanted = [strip for strip in (256, 64, 1024, 16) if tasks * -(-inner // strip) >= 2 * cores]
    return wanted[:2] or [16]


def write(here: Region, parameters: Parameters, language: Language, name: str) -> Kernel:
    if language not in LANGUAGES:
        raise CannotCover(name, f"rowwise is not written in {language}; known: {', '.join(LANGUAGES)}")
    found = rows_of(here)
    written = _text(found, name, chosen(parameters, DEFAULTS))
    work = sum(elements(node) for node in found.flat.nodes if node.target not in QUIET | SAME | VIEWS)
    again = (
        sum(len(one.body) + len(one.reductions) for one in passes(found, keep=False))
        * found.row_count
        * found.row_length
    )
    headers = ('#include "simd.h"',)
    return Kernel(
        name,
        language,
        written.source,
        arguments(found.flat, written.scratch),
        float(max(work, again)),
        moved_bytes(found.flat),
        headers,
    )


def _text(found: Rows, name: str, options: Mapping[str, object]) -> Written:
    if found.across:
        return neighbouring_rows(found, name, strip=int(str(options["strip"])))
    if options["form"] == "shared":
        return shared_rows(found, name, chunk=int(str(options["chunk"])))
    return whole_rows(found, name, keep=bool(options["keep"]))
