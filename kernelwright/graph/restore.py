"""After an edit: values inferred anew where something changed, and outputs as the module's caller knows them.

A rewrite may change strides, so that what reads it has other strides too, and a view of it may have to copy. It may
also make an output a view of an input, which the caller could then change under our hands.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch._prims_common import is_non_overlapping_and_dense_or_false
from torch.fx.node import map_arg

from kernelwright.graph.edit import call, clean, fake_mode, is_write, prune, value
from kernelwright.graph.query import outputs, owner, writes

aten = torch.ops.aten


def restored(module: fx.GraphModule, before: fx.GraphModule) -> fx.GraphModule:
    """The edited module, cleaned: `meta["val"]` true again, outputs with the strides they had in `before`, and sharing
    memory only where they did. An output that was a gappy view of something larger may have become compact.
    """
    prune(module.graph)
    _infer_changed(module.graph, {node.name: node for node in before.graph.nodes})
    _restore_strides(module.graph, before.graph)
    _separate_outputs(module.graph, before.graph)
    _separate_writes(module.graph)
    return clean(module)


def _infer_changed(graph: fx.Graph, known: dict[str, fx.Node]) -> None:
    changed: set[fx.Node] = set()
    mode = fake_mode(graph)
    for node in graph.nodes:
        twin = known.get(node.name)
        if node.op != "call_function" or (_same(node, twin) and changed.isdisjoint(node.all_input_nodes)):
            continue
        if not is_write(node):
            node.meta["val"] = _infer(node, mode)
        if twin is None or _layouts(node) != _layouts(twin):
            changed.add(node)


def _same(node: fx.Node, twin: fx.Node | None) -> bool:
    return twin is not None and (node.target, str(node.args), str(node.kwargs)) == (
        twin.target, str(twin.args), str(twin.kwargs),
    )  # fmt: skip


def _infer(node: fx.Node, mode: object) -> object:
    args, kwargs = map_arg((node.args, node.kwargs), lambda source: source.meta["val"])
    with mode, torch.no_grad():  # type: ignore[attr-defined]
        if node.target is aten.view.default and not _viewable(*args):
            node.target = aten.reshape.default
        return node.target(*args, **kwargs)  # type: ignore[operator]


def _viewable(val: Any, wanted: Any) -> bool:
    try:
        val.view(wanted)
    except (RuntimeError, ValueError):  # the latter from fake tensors
        return False
    return True


def _layouts(node: fx.Node) -> object:
    val = node.meta["val"]
    return [(part.shape, part.stride(), part.dtype) for part in (val if isinstance(val, (tuple, list)) else [val])
            if isinstance(part, torch.Tensor)]  # fmt: skip


def _restore_strides(graph: fx.Graph, before: fx.Graph) -> None:
    for place, (node, old) in enumerate(zip(outputs(graph), outputs(before), strict=True)):
        wanted = value(old)
        if is_non_overlapping_and_dense_or_false(wanted) and not _same_strides(value(node), wanted):
            _return_instead(graph, place, _restrided(_end(graph), node, wanted))


def _same_strides(val: torch.Tensor, wanted: torch.Tensor) -> bool:
    """Strides of dimensions of size one say nothing."""
    return wanted.numel() == 0 or all(
        size == 1 or mine == theirs
        for size, mine, theirs in zip(wanted.shape, val.stride(), wanted.stride(), strict=True)
    )


def _restrided(before: fx.Node, node: fx.Node, wanted: torch.Tensor) -> fx.Node:
    for layout in (torch.contiguous_format, torch.channels_last, torch.channels_last_3d):
        fits = {torch.channels_last: 4, torch.channels_last_3d: 5}.get(layout, wanted.dim()) == wanted.dim()
        if fits and wanted.is_contiguous(memory_format=layout):
            name = f"{node.name}_{str(layout).removeprefix('torch.').removesuffix('_format')}"
            return call(before, aten.clone.default, node, memory_format=layout, name=name)
    order = sorted(range(wanted.dim()), key=lambda dim: (-wanted.stride(dim), dim))
    back = [order.index(dim) for dim in range(wanted.dim())]
    dense = call(before, aten.permute.default, node, order)
    dense = call(before, aten.clone.default, dense, memory_format=torch.contiguous_format)
    return call(before, aten.permute.default, dense, back)


def _separate_outputs(graph: fx.Graph, before: fx.Graph) -> None:
    """No output shares memory with an input, a parameter or an earlier output unless it did before."""
    old = [owner(node) for node in outputs(before)]
    for place, node in enumerate(outputs(graph)):
        mine = owner(node)
        foreign = mine.op != "call_function" and mine.name != old[place].name
        twin = any(owner(other) is mine and old[place] is not old[earlier]
                   for earlier, other in enumerate(outputs(graph)[:place]))  # fmt: skip
        if foreign or twin:
            _return_instead(graph, place, call(_end(graph), aten.clone.default, node))


def _separate_writes(graph: fx.Graph) -> None:
    """Buffers are written one after the other: what is written later must not live in one written before."""
    written: set[object] = set()
    for write in writes(graph):
        buffer, new = write.args
        assert isinstance(buffer, fx.Node) and isinstance(new, fx.Node)
        written.add(buffer.target)
    for write in writes(graph):
        new = write.args[1]
        assert isinstance(new, fx.Node)
        if owner(new).op == "get_attr" and owner(new).target in written:
            write.args = (write.args[0], call(_end(graph), aten.clone.default, new))


def _return_instead(graph: fx.Graph, place: int, new: fx.Node) -> None:
    last = next(iter(reversed(graph.nodes)))
    returned = last.args[0]
    if isinstance(returned, fx.Node):
        last.args = (new,)
    else:
        assert isinstance(returned, (tuple, list))
        last.args = (type(returned)(new if at == place else item for at, item in enumerate(returned)),)


def _end(graph: fx.Graph) -> fx.Node:
    """Where the last calls are inserted: before the buffer writes, or the output."""
    return (*writes(graph), next(iter(reversed(graph.nodes))))[0]
