"""Outputs that are positions in something: which operator chose them, by which values, so that ties can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

SINGLE = frozenset({"argmax", "argmin"})  # return positions alone
PAIRED = frozenset({"max", "min", "topk", "sort", "kthvalue", "median", "nanmedian"})  # values, then positions
ALL_DIFFERENT = frozenset({"topk", "sort"})  # positions along the dimension


@dataclass(frozen=True, slots=True)
class Pick:
    """Positions along `dim` of `source`, the oracle's values that were chosen among."""

    source: Tensor
    dim: int
    different: bool

    @property
    def nbytes(self) -> int:
        return self.source.nbytes

    def settled(self, got: Tensor, wanted: Tensor, limit: float) -> Tensor:
        """`got` with the oracle's position wherever both point at values that tie.

        Values tie where they differ by no more than `limit` of the row's largest magnitude. A row that names one
        position twice where the operator never does, or a position that there isn't, is left as it is.
        """
        lacks_dim = wanted.dim() < self.source.dim()
        ours, theirs = (side.unsqueeze(self.dim) if lacks_dim else side for side in (got.long(), wanted.long()))
        valid = (ours >= 0) & (ours < self.source.shape[self.dim])
        chosen = self.source.gather(self.dim, ours.where(valid, 0))
        best = self.source.gather(self.dim, theirs)
        magnitude = self.source.abs().nan_to_num(0.0, 0.0, 0.0).amax(self.dim, keepdim=True)
        tie = valid & ((chosen == best) | ((chosen - best).abs() <= limit * magnitude))
        if self.different:
            ordered = ours.sort(self.dim).values
            tie &= (ordered.diff(dim=self.dim) != 0).all(self.dim, keepdim=True)
        tie = tie.squeeze(self.dim) if lacks_dim else tie
        return torch.where(tie, wanted, got)


class Picks(TorchDispatchMode):
    """Watches a forward for operators that return positions."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: list[tuple[Tensor, int, Pick]] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # see reductions.LongestReduction

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (),
                           kwargs: Mapping[str, Any] | None = None) -> Any:  # fmt: skip
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in SINGLE or (name in PAIRED and isinstance(result, tuple)):
            given = bound(func, args, kwargs or {})
            if given.get("dim") is not None and not given.get("stable") and args[0].dim():
                positions = result[1] if isinstance(result, tuple) else result
                dim = given["dim"] % args[0].dim()
                pick = Pick(args[0].detach(), dim, name in ALL_DIFFERENT)
                self._seen.append((positions, positions._version, pick))
        return result

    def of(self, leaves: Sequence[Tensor]) -> dict[int, Pick]:
        """For each of a forward's outputs that is such an operator's, by its number, where it points."""
        return {i: pick for i, leaf in enumerate(leaves) for seen, version, pick in self._seen
                if not leaf.is_floating_point() and leaf.data_ptr() == seen.data_ptr()
                and leaf.shape == seen.shape and leaf._version == version}  # fmt: skip


def bound(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """An operator's arguments by name, defaults included."""
    names = [argument.name for argument in func._schema.arguments]
    defaults = {argument.name: argument.default_value for argument in func._schema.arguments}
    return {**defaults, **dict(zip(names, args, strict=False)), **kwargs}
