"""Compute once what is computed twice.

    f(x, y), f(x, y)  ->  f(x, y), read by the users of both

Legal: the same operator on the same arguments, drawing no random numbers; not where both results are returned, since
a caller who changes one would change the other. From the site on, every repetition goes.
Faster: one of two calls is left.
Accuracy: exact.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import fx

from kernelwright.graph.edit import is_write
from kernelwright.graph.query import is_random, outputs
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten


def _refusal(node: fx.Node) -> str:
    if is_write(node) or is_random(node):
        return "has an effect, or draws random numbers"
    twin = _twin(node)
    if twin is None:
        return "nothing before it is the same call"
    returned = outputs(node.graph)
    return f"{twin.name} is returned too" if node in returned and twin in returned else ""


def _twin(node: fx.Node) -> fx.Node | None:
    """The first call with the same arguments."""
    same = [other for other in _candidates(node) if _key(other) == _key(node)]
    first = min(same, default=node)
    return first if first < node else None


def _candidates(node: fx.Node) -> Iterable[fx.Node]:
    sources = node.all_input_nodes
    return sources[0].users if sources else node.graph.find_nodes(op="call_function", target=node.target)  # type: ignore[arg-type]


def _key(node: fx.Node) -> tuple[object, str, str]:
    return node.target, str(node.args), str(node.kwargs)


def _rewrite(node: fx.Node) -> None:
    for later in list(node.graph.nodes):
        if later.op == "call_function" and not later < node and not _refusal(later):
            twin = _twin(later)
            assert twin is not None
            later.replace_all_uses_with(twin)
            later.graph.erase_node(later)


share = Trick("share", _refusal, _rewrite)
