"""Statements: a run of pointwise calls as readable lines, in either language.

A call that one other call of the same canonical op reads is written inside it, as long as the line stays short; what
is left has a line and the graph's own name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import torch
from torch import fx

from kernelwright.kernels.expr import ATOM, CPP, Kind, Language, Speller, Text
from kernelwright.kernels.flat import PERMUTES, RESHAPES

aten = torch.ops.aten

LINE = 72  # characters of an expression that may still be written inside another

CPP_TYPES: Mapping[tuple[Kind, bool], str] = {
    ("float", True): "vec", ("int", True): "ivec", ("long", True): "lvec", ("bool", True): "ivec",
    ("float", False): "float", ("int", False): "int", ("long", False): "long long", ("bool", False): "bool",
}  # fmt: skip
CPP_ELEMENTS: Mapping[Kind, str] = {"float": "float", "int": "int", "long": "long long", "bool": "bool"}

# What simd.h and the skeletons themselves define: a graph's name that is one of these gets an underscore.
TAKEN = frozenset("""
    simd width vec ivec lvec infinity nan Full Part each all lanewise ascending to_float mask_to_float mask_to_long
    mask_to_int to_long narrow_mask invert load store stream stream_end select fill max min relu join sum product
    largest smallest abs isnan with_sign sqrt rsqrt scale whole exp exp_bounded expm1 expm1_reduced log log1p sigmoid
    tanh erf sin sin_bounded cos tan asin acos atan sinh cosh exp2 log2 log10 floor ceil trunc round pow first
    first_lanes blocks least within pick transpose multiply pack_panel pack_before matmul matmul_narrow Tiling
    Reduction Sum Product Largest Smallest Adding Multiplying combined ln2_high ln2_low log2_e
    lanes slot left right finish scratch row column batch depth block chunk strip end one out total inside
    i j k l m n o p q r s t tl triton torch offsets mask tile
""".split())  # fmt: skip
ONCE = {aten.pow.Tensor_Scalar, aten.sign.default, aten.isnan.default}  # read their operand more than once

# Constants, and calls that leave their operand as it is: never worth a line.
QUIET = {*RESHAPES, *PERMUTES, aten.expand.default, aten.alias.default, aten.detach.default,
         aten.scalar_tensor.default, aten.full.default, aten.full_like.default, aten.zeros_like.default,
         aten.ones_like.default, aten.zeros.default, aten.ones.default}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lines:
    """Statements in order, and the text of each value that later statements may read."""

    lines: tuple[str, ...]
    known: Mapping[fx.Node, Text]


def identifier(name: str) -> str:
    return f"{name}_" if name in TAKEN or name[0].isdigit() or name.startswith("_") else name


def statements(nodes: Sequence[fx.Node], known: Mapping[fx.Node, Text], language: Language,
               keep: AbstractSet[fx.Node] = frozenset()) -> Lines:  # fmt: skip
    """Pointwise calls in order. Values in `keep` get a name even where a single call reads them."""
    texts = dict(known)
    speller = Speller(language, texts)
    wanted = set(nodes)
    lines: list[str] = []
    for group in _groups(nodes):
        own: list[str] = []
        for node in group:
            text = speller.call(node)
            if _inside(node, text, wanted, keep):
                texts[node] = text
            else:
                own.append(declare(identifier(node.name), text, language))
                texts[node] = Text(identifier(node.name), ATOM, text.kind, text.vector)
        if len(own) > 1:
            lines.append(comment(str(group[0].meta["origin"]), language))
        lines += own
    return Lines(tuple(lines), texts)


def declare(name: str, text: Text, language: Language) -> str:
    if language is CPP:
        return f"const {CPP_TYPES[text.kind, text.vector]} {name} = {text.text};"
    return f"{name} = {text.text}"


def comment(text: str, language: Language) -> str:
    return f"{'//' if language is CPP else '#'} {text}"


def indent(lines: Iterable[str], depth: int) -> list[str]:
    return [f"{'    ' * depth}{line}" if line else line for line in lines]


def _inside(node: fx.Node, text: Text, wanted: AbstractSet[fx.Node], keep: AbstractSet[fx.Node]) -> bool:
    if node.target in QUIET and (text.text.isidentifier() or not node.all_input_nodes):
        return True
    if node in keep:
        return False
    users = [user for user in node.users if user in wanted]
    return (
        len(node.users) == len(users) == 1
        and users[0].meta["origin"] == node.meta["origin"]
        and users[0].target not in ONCE
        and users[0].all_input_nodes.count(node) == list(users[0].args).count(node) == 1
        and len(text.text) <= LINE
    )


def _groups(nodes: Sequence[fx.Node]) -> list[list[fx.Node]]:
    """Runs of calls that come from the same canonical op."""
    groups: list[list[fx.Node]] = []
    for node in nodes:
        if groups and groups[-1][0].meta["origin"] == node.meta["origin"]:
            groups[-1].append(node)
        else:
            groups.append([node])
    return groups
