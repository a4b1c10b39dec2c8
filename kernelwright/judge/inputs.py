"""What candidates are run on: the reference's own inputs from secret seeds, families around them, and weights."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from kernelwright.capture.source import Input, Reference, draw_inputs
from kernelwright.core.task import Contract
from kernelwright.judge.families import MOVED, OFFSET, ONE_CHANGED, PLAIN, VIEWS, Family, laid_out
from kernelwright.judge.memory import dense_strides
from kernelwright.judge.requests import Delivery

State = Mapping[str, Tensor]


SHRINK = 1 / 16  # at most, of elements of timed inputs
OFFSETS = 1 << 16  # beginnings of the shrinking factors
OTHER_STREAM = 0x5EED  # so that a family's choices are not the numbers that the inputs are made of
SMALLEST, LARGEST = 0.75, 1.25  # factors on weights that are re-randomised


@dataclass(frozen=True, slots=True)
class Case:
    """One question: these inputs, with these weights (0: those given), delivered so. If not binding, only reported."""

    name: str
    family: Family
    seed: int
    weights: int = 0
    delivery: Delivery = "load_state_dict"
    binding: bool = True


def cases(seeds: Iterator[int], contract: Contract, *, floating: bool, weights: int) -> tuple[Case, ...]:
    """Plain inputs first, at once again with one element changed, then the other families, and plain ones at the end.

    floating: whether there are floating inputs to vary. `weights` counts the sets there are: the first cases are on
    those given, the first half of the others on the one before last, loaded, and the rest on the last one, written in
    place.
    """
    seed = next(seeds)
    one_changed = [Case(ONE_CHANGED.name, ONE_CHANGED, seed)] if floating else []
    others = (*(MOVED if floating else ()), *(VIEWS if contract.layouts == "any" else ()))
    chosen = [Case("plain", PLAIN, seed), *one_changed, Case(OFFSET.name, OFFSET, next(seeds))]
    for i, family in enumerate(others):
        index = max(weights - 2, 0) if i < len(others) // 2 else weights - 1
        binding = not family.robust or contract.robustness == "binding"
        chosen.append(Case(family.name, family, next(seeds), index, _delivery(index), binding))
    chosen.append(Case("plain, new weights", PLAIN, next(seeds), weights - 1, _delivery(weights - 1)))
    return tuple(chosen)


def _delivery(weights: int) -> Delivery:
    return "in place" if weights > 1 else "load_state_dict"


def drawn(reference: Reference, seed: int, family: Family = PLAIN) -> tuple[Input, ...]:
    """The generator's inputs for this seed, as this family has them. Every source of randomness is seeded."""
    with _seeded(seed):
        values = draw_inputs(reference, seed)
    generator = torch.Generator().manual_seed(seed ^ OTHER_STREAM)
    moved = (dense(family.apply(dense(value), generator)) for value in values)
    return tuple(laid_out(value, family.layout) if isinstance(value, Tensor) else value for value in moved)


def dense(value: Input) -> Input:
    """Detached, and cloned where elements overlap or memory has holes."""
    if not isinstance(value, Tensor):
        return value
    value = value.detach()
    return value if value.stride() == dense_strides(value) else value.clone()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Python's and NumPy's global generators, seeded within and as before afterwards."""
    numpy = sys.modules.get("numpy")
    before, numpy_before = random.getstate(), numpy.random.get_state() if numpy else None
    random.seed(seed)
    if numpy:
        numpy.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(before)
        if numpy:
            numpy.random.set_state(numpy_before)


def rerandomised(state: State, seed: int) -> dict[str, Tensor]:
    """Other weights of the same kind. Nothing stays constant, no sign flips, so variances stay positive.

    Values are scaled one by one; matrices are shuffled before. A tensor that is all zero gets small noise.
    Integers, and values that are infinite (masks), stay. Entries that share memory stay equal.
    """
    generator = torch.Generator().manual_seed(seed)
    done: dict[tuple[int, tuple[int, ...]], Tensor] = {}
    fresh: dict[str, Tensor] = {}
    for name, value in state.items():
        key = (value.data_ptr(), tuple(value.shape))
        if key not in done or value.numel() == 0:
            done[key] = _rerandomise(value, generator)
        fresh[name] = done[key]
    return fresh


def _rerandomise(value: Tensor, generator: torch.Generator) -> Tensor:
    if not value.is_floating_point() or value.numel() == 0:
        return value.clone()
    if not value.any():
        return (0.1 * torch.randn(value.shape, generator=generator)).to(value)
    factor = torch.empty(value.shape).uniform_(SMALLEST, LARGEST, generator=generator).to(value)
    if value.dim() >= 2 and value.isfinite().all():
        order = torch.randperm(value.numel(), generator=generator).to(value.device)
        value = value.flatten()[order].view(value.shape)
    return value * factor


class FreshInputs:
    """Endless inputs for timed calls, cheap to make: mixtures of two draws of the reference's generator.

    A mixture with positive weights that sum to one keeps signs, ranges and zeros. Mixtures alone lie in a space of few
    dimensions, where a linear map could be put together from remembered outputs: so each element is shrunk besides, by
    up to 1/16 and each by another factor, save where rows are sorted or sum to one. Without floating inputs, every set
    is a new draw.
    """

    def __init__(self, draw: Callable[[int], Sequence[Input]], seeds: Iterator[int], pool: int) -> None:
        self._draw, self._seeds = draw, seeds
        self._random = random.Random(next(seeds))
        self._pool = [tuple(draw(next(seeds))) for _ in range(pool)]
        floating = [value for value in self._pool[0] if isinstance(value, Tensor) and value.is_floating_point()]
        self._mixes = bool(floating)
        self._shrink = {one.dtype: _shrinking(floating, one.dtype, next(seeds)) for one in floating}
        self._shrinks = [_may_shrink(value) for value in self._pool[0] if isinstance(value, Tensor)]

    def write(self, targets: Sequence[Tensor]) -> None:
        """Fresh values for each tensor input, in order."""
        if not self._mixes:
            self.draw(targets)
            return
        one, other = self._random.sample(self._pool, 2)
        weight = self._random.uniform(0.25, 0.75)
        pairs = ((a, b) for a, b in zip(one, other, strict=True) if isinstance(a, Tensor))
        for target, (a, b), shrinks in zip(targets, pairs, self._shrinks, strict=True):
            _mix(a, b, weight, target)
            if shrinks:
                self._shrink_all(target)

    def _shrink_all(self, target: Tensor) -> None:
        first = self._random.randrange(OFFSETS)
        target.mul_(self._shrink[target.dtype][first : first + target.numel()].view(target.shape))

    def draw(self, targets: Sequence[Tensor]) -> None:
        """A new draw of the generator."""
        drawn = (value for value in self._draw(next(self._seeds)) if isinstance(value, Tensor))
        for target, value in zip(targets, drawn, strict=True):
            target.copy_(value)


def _may_shrink(value: Tensor) -> bool:
    """Whether nothing that a reference may rely on is lost: an order in rows, rows that sum to one."""
    if not value.is_floating_point() or value.dim() == 0 or value.numel() < 2:
        return value.is_floating_point()
    is_sorted = bool((value.diff(dim=-1) >= 0).all())
    sums = value.sum(dim=-1, dtype=torch.float64)
    return not is_sorted and not torch.allclose(sums, torch.ones_like(sums), rtol=0, atol=1e-3)


def _shrinking(floating: Sequence[Tensor], dtype: torch.dtype, seed: int) -> Tensor:
    """Random factors from 15/16 to 1, enough for the largest of these tensors from any of `OFFSETS` beginnings."""
    largest = max((one for one in floating if one.dtype == dtype), key=Tensor.numel)
    generator = torch.Generator().manual_seed(seed)
    factors = torch.empty(largest.numel() + OFFSETS).uniform_(1 - SHRINK, 1.0, generator=generator)
    return factors.to(device=largest.device, dtype=dtype)


def _mix(one: Tensor, other: Input, weight: float, target: Tensor) -> None:
    if not one.is_floating_point():
        target.copy_(one)
        return
    torch.mul(one, weight, out=target)
    target.add_(other, alpha=1 - weight)
