"""A pointwise region as loops: which dimensions run as one, in which order, and which of them vectors take."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx

from kernelwright.kernels import expr
from kernelwright.kernels.arguments import check_outputs, outputs
from kernelwright.kernels.axes import Axis, Space, space
from kernelwright.kernels.expr import kind_of
from kernelwright.kernels.flat import VIEWS, Flat, flat, refuse
from kernelwright.kernels.loops import Loop, by_stride, fused, loops
from kernelwright.kernels.reads import is_counter
from kernelwright.kernels.region import Region

NAMES = ("i", "j", "k", "l", "m", "n", "o", "p")


@dataclass(frozen=True)
class Nest:
    """A pointwise region with its loops: outer ones, then the one that vectors take."""

    flat: Flat
    space: Space
    outer: tuple[Loop, ...]
    inner: Loop

    @property
    def every(self) -> tuple[Loop, ...]:
        return (*self.outer, self.inner)

    @property
    def turned(self) -> Loop | None:
        """An outer loop along which an input's neighbours lie, while the innermost loop jumps in it: a transpose."""
        for _, access in self.space.leaves.values():
            for loop in self.outer:
                if loop.stride(access) == 1 and self.inner.stride(access) > 1:
                    return loop
        return None

    @property
    def computed(self) -> list[fx.Node]:
        """Calls that need a line or a place in one: no inputs, no views of them, no counters."""
        return [n for n in self.flat.nodes if n in self.space.dims and n not in self.space.leaves and not is_counter(n)]

    @property
    def sources(self) -> list[fx.Node]:
        """What statements start from: inputs, views of them, counters."""
        return [*self.space.leaves, *(node for node in self.flat.nodes if is_counter(node))]


def nest_of(here: Region) -> Nest:
    """Raises CannotCover where the region is not one pointwise loop nest."""
    body = flat(here)
    check_outputs(body)
    for node in body.nodes:
        if not expr.can_spell(node) and node.target not in VIEWS and not is_counter(node):
            raise refuse(node, f"{node.target} is not pointwise")
        kind_of(node)
    where = space(body)
    written = [where.access(output.node, output.strides) for output in outputs(body)]
    everywhere = set(where.extents)
    for output, access in zip(outputs(body), written, strict=True):
        if set(access.strides) != everywhere:
            raise refuse(output.node, "runs over fewer elements than the rest of the region")
    read = [access for _, access in where.leaves.values()]
    order = by_stride(sorted(everywhere), written[0])
    groups = fused(order, where.extents, [*written, *read], alone=counted_axes(body, where))
    *outer, inner = loops(groups, NAMES, where.extents) or [Loop("i", 1, ())]
    return Nest(body, where, tuple(outer), inner)


def counted_axes(body: Flat, where: Space) -> frozenset[Axis]:
    """Axes whose counter is itself a value."""
    return frozenset(axis for node in body.nodes if is_counter(node) for axis in where.needs[node])
