"""Names of nodes: they become local variables in Python, C++, Triton and Metal."""

from __future__ import annotations

import keyword
import re

CPP = """auto bool break case char const default delete do double enum extern float for goto if inline int long new
register return short signed sizeof static struct switch template this typedef union unsigned using void volatile
while"""
OURS = "F cpp empty kernels math nn out self tl torch triton vec pid"  # what printed files call their own

RESERVED = frozenset([*keyword.kwlist, *CPP.split(), *OURS.split()])


def identifier(wanted: str) -> str:
    """`layers.0.weight` as `layers_0_weight`, `out` as `out_`: a name that shadows nothing in any language."""
    plain = re.sub(r"\W", "_", wanted)
    return f"{plain}_" if plain in RESERVED or not plain.isidentifier() else plain
