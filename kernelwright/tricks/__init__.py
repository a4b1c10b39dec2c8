"""The bag of tricks: graph rewrites that serve every engine. One file each.

`TRICKS` is in the order that suits applying each everywhere it is legal: what uncovers sites for others comes first.
"""

from __future__ import annotations

from kernelwright.tricks.channels_last import channels_last
from kernelwright.tricks.collect_terms import collect_terms
from kernelwright.tricks.convolution_by_onednn import convolution_by_onednn
from kernelwright.tricks.drop_identity import drop_identity
from kernelwright.tricks.drop_unit_reduction import drop_unit_reduction
from kernelwright.tricks.fold_global_pooling import fold_global_pooling
from kernelwright.tricks.fold_pooling import fold_pooling
from kernelwright.tricks.fold_reduction import fold_reduction
from kernelwright.tricks.fold_scale import fold_scale
from kernelwright.tricks.idle_clamp import idle_clamp
from kernelwright.tricks.linear_by_onednn import linear_by_onednn
from kernelwright.tricks.merge_linears import merge_linears
from kernelwright.tricks.merge_pooling import merge_pooling
from kernelwright.tricks.merge_steps import merge_steps
from kernelwright.tricks.merge_views import merge_views
from kernelwright.tricks.open_attention import open_attention
from kernelwright.tricks.open_cat import open_cat
from kernelwright.tricks.open_cell import open_cell
from kernelwright.tricks.pool_first import pool_first
from kernelwright.tricks.push_slice import push_slice
from kernelwright.tricks.reassociate import reassociate
from kernelwright.tricks.scale_by_diagonal import scale_by_diagonal
from kernelwright.tricks.share import share
from kernelwright.tricks.trick import IllegalTrick, Trick

__all__ = ["TRICKS", "IllegalTrick", "Trick"]

TRICKS: tuple[Trick, ...] = (
    drop_identity,
    share,
    merge_views,
    push_slice,
    drop_unit_reduction,
    idle_clamp,
    open_cell,
    open_cat,
    open_attention,
    merge_steps,
    reassociate,
    scale_by_diagonal,
    collect_terms,
    fold_scale,
    fold_global_pooling,
    fold_reduction,
    merge_linears,
    merge_pooling,
    fold_pooling,
    pool_first,
    channels_last,
    convolution_by_onednn,
    linear_by_onednn,
)
