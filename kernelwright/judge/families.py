"""Families of inputs: what is done to every floating tensor that the reference's own generator draws.

All of them keep zeros, and what is not finite. Those that move or single out elements leave tensors alone in which
places mean something: triangles, diagonals and masks, symmetric and ascending ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from kernelwright.capture.source import Input

Change = Callable[[Tensor, Generator], Tensor]
Layout = Literal["as drawn", "offset", "transposed", "sliced"]

WEAKEST = 2.0**-6  # of the factors that shrink rows, and of what lies between spikes
SPIKES = 1 / 32  # share of elements
DISTINCT = 16  # values that ties are made of
TRIES = 64  # positions looked at to find one that is not zero
SORTED = 1 << 20  # elements that are sorted; sorting all of a large tensor takes seconds
SPARSE = 1 / 64  # share of zeros from which places mean something
WIDE, DEPTH = 16.0, 12.0  # times as far apart, and below zero by so many mean magnitudes
LAST = 4  # elements of a row, one of which is a spike
GAP = 3  # elements between the rows of a sliced tensor


@dataclass(frozen=True, slots=True)
class Family:
    """One way to vary inputs.

    robust: made of values that the reference's generator would hardly draw; only reported unless the contract says so.
    layout: how every tensor lies in memory, floating or not.
    """

    name: str
    change: Change | None = None
    robust: bool = False
    layout: Layout = "as drawn"

    def apply(self, value: Input, generator: Generator) -> Input:
        """A new tensor of the same shape, dtype and strides; what is no floating tensor stays as it is."""
        if self.change is None or not isinstance(value, Tensor) or not value.is_floating_point() or not value.numel():
            return value
        moved = self.change(value, generator).to(value.dtype)
        kept = (value == 0) | ~value.isfinite()
        return torch.empty_like(value).copy_(torch.where(kept, value, moved))


def scaled(factor: float) -> Change:
    return lambda value, generator: value * factor


def shifted(value: Tensor, generator: Generator) -> Tensor:
    """Up by the mean magnitude."""
    return value + mean_magnitude(value)


def lowered(value: Tensor, generator: Generator) -> Tensor:
    """All below zero, so far that exponentials vanish: there zero is no neutral element of a maximum."""
    return WIDE * (value - DEPTH * mean_magnitude(value))


def negated(value: Tensor, generator: Generator) -> Tensor:
    return value if ascending(value) else -value


def rows_scaled(weakest: float, strongest: float) -> Change:
    """Every row times a power of its own, evenly spread. A row is all that shares its first two indices, so that the
    pixels of one plane keep one scale: transforms of whole planes (Winograd's, Fourier's) mix them, and are honest."""
    low, high = (torch.tensor(bound).log2().item() for bound in (weakest, strongest))

    def change(value: Tensor, generator: Generator) -> Tensor:
        if symmetric(value):
            return value
        count = value.shape[: min(2, value.dim() - 1)] if value.dim() > 1 else (-(-value.numel() // 64),)
        factors = torch.exp2(low + (high - low) * torch.rand(count, generator=generator)).to(value)
        if value.dim() < 2:
            return value * factors.repeat_interleave(64)[: value.numel()].view(value.shape)
        return value * factors.view(*count, *[1] * (value.dim() - len(count)))

    return change


def spiky(value: Tensor, generator: Generator) -> Tensor:
    """Few elements times 64; one of them, in each row, is the row's largest, among the last ones: there kernels have
    their remainders."""
    if symmetric(value) or ascending(value):
        return value
    flat = value.reshape(-1, value.shape[-1] if value.dim() else 1)
    spikes = torch.rand(flat.shape, generator=generator) < SPIKES
    last = (flat.shape[1] - 1 - torch.arange(flat.shape[0]) % min(LAST, flat.shape[1])).unsqueeze(1)
    spikes.scatter_(1, last, True)
    value = _exchanged(flat, flat.argmax(dim=1, keepdim=True), last.to(flat.device)).view(value.shape)
    return torch.where(spikes.view(value.shape).to(value.device), value / WEAKEST, value)


def _exchanged(rows: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """In each row the elements of these two places change places."""
    ours, theirs = rows.gather(1, one), rows.gather(1, other)
    return rows.scatter(1, one, theirs).scatter(1, other, ours)


def tied(value: Tensor, generator: Generator) -> Tensor:
    """Every element lowered to the next of a few values that the generator drew itself."""
    flat = value.flatten()
    places = torch.randint(flat.numel(), (DISTINCT,), generator=generator)
    drawn = flat[places.to(value.device)]
    steps = drawn[(drawn != 0) & drawn.isfinite()].sort().values
    if not steps.numel():
        return value
    return steps[torch.bucketize(value.contiguous(), steps, right=True).sub_(1).clamp_(min=0)]


def in_order(value: Tensor, generator: Generator) -> Tensor:
    """Ascending along the last dimension, in as many rows as are cheap to sort; all but the first start somewhere else.

    Were they to start alike, each column would hold nearly equal values, and its variance would be all rounding error.
    """
    if value.dim() == 0 or value.shape[-1] > SORTED or structured(value):
        return value
    rows = value.reshape(-1, value.shape[-1]).clone()
    several = rows[: max(SORTED // rows.shape[1], 1)]
    starts = torch.randint(rows.shape[1], (several.shape[0], 1), generator=generator)
    starts[0] = 0
    places = (torch.arange(rows.shape[1]) + starts) % rows.shape[1]
    several.copy_(several.sort(dim=1).values.gather(1, places.to(value.device)))
    return rows.view(value.shape)


def one_changed(value: Tensor, generator: Generator) -> Tensor:
    """One element becomes the draw's smallest or largest, whichever is farther away."""
    if symmetric(value) or ascending(value):
        return value
    flat = value.flatten().clone()
    places = torch.randint(flat.numel(), (TRIES,), generator=generator)
    place = next((int(place) for place in places if flat[int(place)] != 0), int(places[0]))
    low, high = flat.aminmax()
    flat[place] = high if flat[place] - low < high - flat[place] else low
    return flat.view(value.shape)


def cancelling(value: Tensor, generator: Generator) -> Tensor:
    """The second half of each row takes back the first, up to a thousandth."""
    half = value.shape[-1] // 2 if value.dim() else 0
    if half == 0 or structured(value):
        return value
    changed = value.clone()
    changed[..., half : 2 * half] = -value[..., :half] * (1 + 2.0**-10)
    return changed


def whole(value: Tensor, generator: Generator) -> Tensor:
    """Small whole numbers: sums of products are exact in any order."""
    unit = mean_magnitude(value) / 2
    return (value / unit).round().clamp(-16, 16) if unit > 0 else value


PLAIN = Family("plain")
ONE_CHANGED = Family("one perturbed element", one_changed)
OFFSET = Family("offset storage", layout="offset")
MOVED = (
    Family("scaled 0.01", scaled(0.01)),
    Family("scaled 64", scaled(64.0)),
    Family("mixed-scale rows", rows_scaled(WEAKEST, 1.0)),
    Family("sparse spikes", spiky),
    Family("exact small integers", whole, robust=True),
    Family("cancellation", cancelling, robust=True),
    Family("shifted", shifted),
    Family("negated", negated),
    Family("below zero", lowered),
    Family("ties", tied),
    Family("sorted", in_order),
    Family("rows scaled up", rows_scaled(1.0, 64.0), robust=True),
)
VIEWS = (Family("transposed storage", layout="transposed"), Family("sliced storage", layout="sliced"))


def laid_out(value: Tensor, layout: Layout) -> Tensor:
    """The same values with the strides that this layout has. "offset" moves the address, not the strides."""
    if layout == "transposed" and value.dim() >= 2:
        return value.mT.contiguous().mT
    if layout == "sliced" and value.dim() >= 1:
        return torch.nn.functional.pad(value, (0, GAP))[..., : value.shape[-1]]
    return value


def mean_magnitude(value: Tensor) -> Tensor:
    return value.abs().where(value.isfinite(), 0).mean()


def structured(value: Tensor) -> bool:
    """Whether it matters in which place a value stands."""
    return symmetric(value) or ascending(value) or float((value == 0).float().mean()) > SPARSE


def symmetric(value: Tensor) -> bool:
    return value.dim() >= 2 and value.shape[-1] == value.shape[-2] > 1 and torch.equal(value, value.mT)


def ascending(value: Tensor) -> bool:
    """By design: eight or more values in a row are hardly ever so by chance."""
    if value.dim() == 0 or value.shape[-1] < 8:
        return False
    return bool((value[..., 1:] >= value[..., :-1]).all()) and bool((value[..., -1] > value[..., 0]).any())
