"""Loops over axes: which axes run as one, and what address an element has in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import prod

from kernelwright.kernels.axes import Access, Axis


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop, over one axis or over several that lie in memory like one."""

    name: str
    extent: int
    axes: tuple[Axis, ...]  # outer to inner

    def stride(self, access: Access) -> int:
        return access.strides.get(self.axes[-1], 0) if self.axes else 0


def fused(order: Sequence[Axis], extents: Mapping[Axis, int], accesses: Sequence[Access],
          alone: AbstractSet[Axis] = frozenset()) -> list[tuple[Axis, ...]]:  # fmt: skip
    """Neighbours in the order, joined where every access steps through both as through one."""
    groups: list[tuple[Axis, ...]] = []
    for axis in order:
        if (
            groups
            and not alone & {axis, groups[-1][-1]}
            and all(_joins(groups[-1][-1], axis, extents, a) for a in accesses)
        ):
            groups[-1] = (*groups[-1], axis)
        else:
            groups.append((axis,))
    return groups


def loops(groups: Sequence[tuple[Axis, ...]], names: Sequence[str], extents: Mapping[Axis, int]) -> list[Loop]:
    return [Loop(name, prod(extents[a] for a in axes), axes) for axes, name in zip(groups, names, strict=False)]


def address(pointer: str, access: Access, nest: Sequence[Loop]) -> str:
    """`x + row * 1024 + i`: where an element stands, from the loops' counters."""
    terms = [pointer, *([str(access.offset)] if access.offset else [])]
    for loop in nest:
        stride = loop.stride(access)
        if stride:
            terms.append(loop.name if stride == 1 else f"{loop.name} * {stride}")
    return " + ".join(terms)


def element(pointer: str, access: Access, nest: Sequence[Loop]) -> str:
    """`x[row * 1024]`: one element."""
    inside = address("", access, nest).removeprefix(" + ")
    return f"{pointer}[{inside or '0'}]"


def by_stride(axes: Sequence[Axis], access: Access) -> list[Axis]:
    """Outer to inner, as memory has them."""
    return sorted(axes, key=lambda axis: -access.strides.get(axis, 0))


def _joins(outer: Axis, inner: Axis, extents: Mapping[Axis, int], access: Access) -> bool:
    return access.strides.get(outer, 0) == access.strides.get(inner, 0) * extents[inner]
