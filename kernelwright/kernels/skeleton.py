"""What every skeleton module offers to the search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import fx

from kernelwright.core.spec import Target
from kernelwright.kernels.kernel import Kernel, Language, Parameters
from kernelwright.kernels.region import Region


class Skeleton(Protocol):
    """One family of kernels: which regions it covers, with which parameters, and how it writes them.

    The search grows a region from a node that is claimed by whatever neighbour is absorbed, then writes it:

        region = skeleton.region([node]); while neighbour is absorbed: region = grown(region, neighbour)
    """

    @property
    def NAME(self) -> str: ...

    @property
    def LANGUAGES(self) -> tuple[Language, ...]: ...

    def claims(self, node: fx.Node) -> bool:
        """Whether a region of this skeleton can start at this node."""
        ...

    def absorbs(self, here: Region, node: fx.Node) -> bool:
        """Whether the region with this neighbour of it, producer or consumer, is still one kernel of this skeleton.

        Says nothing about whether that is faster.
        """
        ...

    def parameters(self, here: Region, target: Target) -> tuple[Parameters, ...]:
        """Choices worth trying on that machine, best guess first. Never empty."""
        ...

    def write(self, here: Region, parameters: Parameters, language: Language, name: str) -> Kernel:
        """The kernel. The same arguments give the same text. Raises CannotCover, which names the node and why."""
        ...


def chosen(parameters: Parameters, defaults: Mapping[str, int | float | str | bool]) -> dict[str, Any]:
    """Parameters by name, the skeleton's defaults where they say nothing. Refuses a name that nobody reads."""
    unknown = [name for name, _ in parameters if name not in defaults]
    if unknown:
        raise ValueError(f"parameter {unknown[0]!r} is not known; known: {', '.join(sorted(defaults))}")
    return {**defaults, **dict(parameters)}
