"""Tricks applied to a graph, as a plan says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import fx

from kernelwright.tricks import TRICKS, Trick

LIMIT = 500  # applications of one trick; a trick that offers a site for ever is a bug

BY_NAME = {trick.name: trick for trick in TRICKS}


@dataclass(frozen=True, slots=True)
class Applied:
    """A trick that did something, and at which nodes."""

    trick: Trick
    sites: tuple[str, ...]


def rewrite(graph: fx.GraphModule, names: Sequence[str]) -> tuple[fx.GraphModule, tuple[Applied, ...]]:
    """Each named trick everywhere it is legal, in the order given; what was done, without tricks that found nothing."""
    done = []
    for name in names:
        graph, sites = everywhere(graph, BY_NAME[name])
        if sites:
            done.append(Applied(BY_NAME[name], sites))
    return graph, tuple(done)


def everywhere(graph: fx.GraphModule, trick: Trick) -> tuple[fx.GraphModule, tuple[str, ...]]:
    """One trick until it is legal nowhere."""
    applied: list[str] = []
    while sites := trick.sites(graph):
        graph = trick.apply(graph, sites[0])
        applied.append(sites[0])
        if len(applied) > LIMIT:
            raise RuntimeError(f"trick {trick.name} does not end: {applied[-3:]}")
    return graph, tuple(applied)
