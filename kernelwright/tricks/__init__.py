"""The bag of tricks: graph rewrites that serve every engine. One file each.

`TRICKS` is in the order that suits applying each everywhere it is legal.
"""

from __future__ import annotations

from kernelwright.tricks.channels_last import channels_last
from kernelwright.tricks.drop_unit_reduction import drop_unit_reduction
from kernelwright.tricks.fold_reduction import fold_reduction
from kernelwright.tricks.fold_scale import fold_scale
from kernelwright.tricks.idle_clamp import idle_clamp
from kernelwright.tricks.merge_linears import merge_linears
from kernelwright.tricks.merge_steps import merge_steps
from kernelwright.tricks.open_cell import open_cell
from kernelwright.tricks.push_slice import push_slice
from kernelwright.tricks.trick import IllegalTrick, Trick

__all__ = ["TRICKS", "IllegalTrick", "Trick"]

TRICKS: tuple[Trick, ...] = (
    push_slice,
    drop_unit_reduction,
    idle_clamp,
    merge_steps,
    merge_linears,
    open_cell,
    fold_scale,
    fold_reduction,
    channels_last,
)
