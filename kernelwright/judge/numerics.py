"""The numeric rule: how far a row may be from the truth. Pure functions on tensors.

A row is the last dimension where that is long enough, else a tile of consecutive elements. Its error is the largest
difference over the largest magnitude in the row. What is allowed depends on the dtype, on how many terms the longest
sum has, and on how far PyTorch itself is from the same truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

EPS32 = torch.finfo(torch.float32).eps
SHORTEST_ROW = 32  # a last dimension below this is no row: few elements may all be small by cancellation
TILE = 64
LONGEST = 1 << 14  # terms; honest kernels, as PyTorch's own, sum more than that in parts
WEAKEST = 2.0**-10  # of an output's largest magnitude: rows weaker than that are measured against this
CHUNK = 1 << 18  # elements compared at a time, so that temporaries stay in cache
DEVICE_CHUNK = 1 << 25  # on a GPU, where starting costs more, and temporaries have only to fit


@dataclass(frozen=True, slots=True)
class Deviation:
    """The worst row: its error, and its worst element. `magnitude` is what the error is relative to."""

    error: float
    at: tuple[int, ...] = ()
    got: float | int | bool = 0.0
    wanted: float | int | bool = 0.0
    magnitude: float = 0.0


EXACT = Deviation(0.0)


def floor(dtype: torch.dtype, length: int) -> float:
    """Relative error that rounding alone explains, where sums of `length` terms are kept in float32 or wider."""
    if not dtype.is_floating_point:
        return 0.0
    eps = torch.finfo(dtype).eps
    return 2 * eps + 8 * min(EPS32, eps) * math.sqrt(min(length, LONGEST))


def allowed(least: float, baseline: float) -> float:
    """Four times PyTorch's own error, but no less than the floor and no more than 16 floors.

    Where PyTorch itself misses by more than that, twice its error: a rule that PyTorch breaks would refuse
    honest kernels.
    """
    return min(max(4 * baseline, least), max(16 * least, 2 * baseline))


def deviation(got: Tensor, wanted: Tensor, baseline: Tensor | None = None) -> Deviation:
    """How far `got` is from `wanted`, in the worst row. Shapes are equal.

    Integers and bools are equal or infinitely wrong; `baseline`'s value is as good as the oracle's (ties).
    NaN and infinities stand where they stand in `wanted`. Where the baseline's disagree with the oracle's,
    the element is near the edge of its range and says nothing.
    """
    if not wanted.is_floating_point():
        return _exact(got, wanted, baseline)
    worst = _worst_row(got, wanted)
    if math.isfinite(worst.error) and (baseline is None or _all_finite(baseline)):
        return worst
    return _masked(got, wanted, baseline)


def _exact(got: Tensor, wanted: Tensor, baseline: Tensor | None) -> Deviation:
    wrong = got != wanted
    if baseline is not None:
        wrong &= got != baseline
    if not wrong.any():
        return EXACT
    at = _position(int(wrong.flatten().int().argmax()), wrong.shape)
    return Deviation(math.inf, at, got[at].item(), wanted[at].item())


def _masked(got: Tensor, wanted: Tensor, baseline: Tensor | None) -> Deviation:
    """Kinds of numbers first, then the finite ones."""
    kind = kinds(wanted.to(got.dtype))
    settled = torch.ones_like(kind, dtype=torch.bool) if baseline is None else kind == kinds(baseline)
    wrong = settled & (kinds(got) != kind)
    if wrong.any():
        at = _position(int(wrong.flatten().int().argmax()), wrong.shape)
        return Deviation(math.inf, at, got[at].item(), wanted[at].item())
    counted = settled & (kind == 0)
    return _worst_row(got.where(counted, 0), wanted.where(counted, 0))


def kinds(values: Tensor) -> Tensor:
    """0 for finite, 1 for NaN, 2 and 3 for the infinities."""
    return values.isnan().to(torch.int8) + 2 * values.isposinf() + 3 * values.isneginf()


def _worst_row(got: Tensor, wanted: Tensor) -> Deviation:
    if wanted.numel() == 0:
        return EXACT
    working = torch.float64 if torch.float64 in (got.dtype, wanted.dtype) else torch.float32
    weakest = WEAKEST * float(wanted.abs().amax())
    worst, number, size = (-1.0, 0.0), 0, 0
    for first, ours, theirs in _pieces(got, wanted):
        error, row, magnitude = _worst_of(ours.to(working), theirs.to(working), weakest)
        size = theirs.shape[1]
        if not error <= worst[0]:
            worst, number = (error, magnitude), first + row
        if not math.isfinite(error):
            break
    start = number * size
    ours, theirs = (side.flatten()[start : start + size].to(working) for side in (got, wanted))
    apart = (ours - theirs).abs()
    index = int(apart.nan_to_num(math.inf).argmax())
    at = _position(start + index, wanted.shape)
    return Deviation(worst[0], at, ours[index].item(), theirs[index].item(), worst[1])


def _worst_of(got: Tensor, wanted: Tensor, weakest: float) -> tuple[float, int, float]:
    """Error, number and magnitude of the worst of these rows. NaN counts as infinitely wrong."""
    magnitude = wanted.abs().amax(dim=1).clamp_(min=weakest)
    apart = (got - wanted).abs_().amax(dim=1)
    errors = torch.where(apart == 0, 0.0, apart / magnitude).nan_to_num_(math.inf, math.inf)
    row = int(errors.argmax())
    return float(errors[row]), row, float(magnitude[row])


def _pieces(got: Tensor, wanted: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Both as matrices of rows, a cache's worth at a time, with the number of the first row."""
    ours, theirs = rows(got), rows(wanted)
    step = max((DEVICE_CHUNK if ours.is_cuda else CHUNK) // ours.shape[1], 1)
    for first in range(0, ours.shape[0], step):
        yield first, ours[first : first + step], theirs[first : first + step]


def rows(values: Tensor) -> Tensor:
    """A matrix of rows: the last dimension, or tiles of the flattened values, the last one filled up with zeros."""
    if values.dim() >= 2 and values.shape[-1] >= SHORTEST_ROW:
        return values.reshape(-1, values.shape[-1])
    flat = values.reshape(-1)
    size = min(TILE, flat.numel())
    return torch.nn.functional.pad(flat, (0, -flat.numel() % size)).view(-1, size)


def _position(index: int, shape: torch.Size) -> tuple[int, ...]:
    """The index of an element of the flattened tensor, as one index a dimension."""
    at: list[int] = []
    for extent in reversed(shape):
        index, last = divmod(index, extent)
        at.append(last)
    return tuple(reversed(at))


def _all_finite(values: Tensor) -> bool:
    return bool(values.isfinite().all())
