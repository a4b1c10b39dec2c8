"""Drop calls that change nothing.

    dropout(x) in evaluation mode, clone(x), x * 1, x + 0, x.view(x.shape), permute(x, in order), ...  ->  x

Legal: shape, dtype and memory layout stay; a copy stays where it keeps what is returned, or written to a buffer, apart
from other memory. From the site on, every such call goes.
Faster: a copy of the tensor less, and what comes before and after can be one kernel.
Accuracy: exact. x + 0 turns -0.0 into 0.0, x does not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from kernelwright.graph.edit import is_call, is_tensor, replace, value
from kernelwright.graph.query import arguments, outputs, owner, shares_memory, writes
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten

COPIES = (aten.clone, aten._to_copy, aten.contiguous, aten.alias, aten.detach, aten.lift_fresh_copy)
VIEWS = (
    aten.view,
    aten.reshape,
    aten._unsafe_view,
    aten.expand,
    aten.slice,
    aten.permute,
    aten.transpose,
    aten.squeeze,
)
NEUTRAL: dict[Any, int] = {aten.mul: 1, aten.div: 1, aten.add: 0, aten.sub: 0, aten.pow: 1}


def _refusal(node: fx.Node) -> str:
    source = _source(node)
    if source is None:
        return "may change values"
    if _layout(node) != _layout(source) or _names_layout(node, source):
        return "changes shape, dtype or strides"
    if not shares_memory(node) and _keeps_apart(node, source):
        return f"keeps a result apart from {owner(source).name}"
    return ""


def _source(node: fx.Node) -> fx.Node | None:
    """The argument that the call returns, if its layout stays."""
    if not is_tensor(node) or not node.args or not is_tensor(node.args[0]):
        return None
    source = node.args[0]
    assert isinstance(source, fx.Node)
    if is_call(node, *COPIES, *VIEWS):
        return source if _keeps_order(node) else None
    if is_call(node, aten.dropout, aten.feature_dropout, aten.alpha_dropout):
        return source if arguments(node)["p"] == 0 or not arguments(node)["train"] else None
    neutral = NEUTRAL.get(getattr(node.target, "overloadpacket", None))
    is_neutral = neutral is not None and type(node.args[1]) in (int, float) and node.args[1] == neutral
    return source if is_neutral and arguments(node).get("rounding_mode") is None else None


def _keeps_order(node: fx.Node) -> bool:
    """Equal shape and strides prove that a view is the same view, unless dimensions of one size changed places."""
    if is_call(node, aten.permute):
        order: list[int] = node.args[1]  # type: ignore[assignment]
        return [dim % len(order) for dim in order] == list(range(len(order)))
    if is_call(node, aten.transpose):
        one, other = arguments(node)["dim0"], arguments(node)["dim1"]
        return one % value(node).dim() == other % value(node).dim()
    return True


def _names_layout(node: fx.Node, source: fx.Node) -> bool:
    """A copy that asks for channels last sets the strides of a single channel too, by which PyTorch picks kernels."""
    asked = node.kwargs.get("memory_format") in (torch.channels_last, torch.channels_last_3d)
    return asked and value(node).stride() != value(source).stride()


def _layout(node: fx.Node) -> tuple[object, ...]:
    val = value(node)
    strides = tuple(stride for size, stride in zip(val.shape, val.stride(), strict=True) if size != 1)
    return tuple(val.shape), strides, val.dtype, val.device


def _keeps_apart(node: fx.Node, source: fx.Node) -> bool:
    """Whether something returned, or written to a buffer, would share memory without this copy."""
    memory = owner(source)
    returned = [owner(result) for result in outputs(node.graph)]
    if node in returned and (memory.op != "call_function" or memory in returned or returned.count(node) > 1):
        return True
    written = [write.args[1] for write in writes(node.graph)]
    return memory.op == "get_attr" and any(owner(new) is node for new in written if isinstance(new, fx.Node))


def _rewrite(node: fx.Node) -> None:
    for later in list(node.graph.nodes):
        if later.op == "call_function" and not later < node and not _refusal(later):
            source = _source(later)
            assert source is not None
            replace(later, source)


drop_identity = Trick("drop_identity", _refusal, _rewrite)
