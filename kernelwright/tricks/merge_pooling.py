"""Merge a pooling of a pooling into one.

    max_pool(max_pool(x, k1, s1, p1), k2, s2)  ->  max_pool(x, (k2 - 1) * s1 + k1, s1 * s2, p1)
    avg_pool(avg_pool(x, k1), k2)              ->  avg_pool(x, k1 * k2)
    adaptive_avg_pool(avg_pool(x, k1), 1)      ->  adaptive_avg_pool(x, 1), likewise mean(avg_pool(x, k1), [2, 3])

Legal: only the outer pooling reads the inner one. Maxima: no gaps between windows, no dilation, no rounding up, and no
padding of the outer one. Averages: windows side by side, no padding; for a global average they leave nothing out.
Faster: the intermediate image is neither written nor read.
Accuracy: maxima exact; averages are summed in another order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from kernelwright.graph.edit import call, is_call, shape, take_over
from kernelwright.graph.query import arguments, reduction
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten

MAXIMA = (aten.max_pool1d, aten.max_pool2d, aten.max_pool3d)
AVERAGES = (aten.avg_pool1d, aten.avg_pool2d, aten.avg_pool3d)
GLOBAL = (aten.adaptive_avg_pool1d, aten.adaptive_avg_pool2d, aten.adaptive_avg_pool3d)


def _refusal(node: fx.Node) -> str:
    if not is_call(node, *MAXIMA, *AVERAGES) and not _is_global(node):
        return "no pooling"
    inner = node.args[0]
    assert isinstance(inner, fx.Node)
    if not is_call(inner, *(MAXIMA if is_call(node, *MAXIMA) else AVERAGES)):
        return f"{inner.name} is no pooling of its kind"
    if len(inner.users) != 1:
        return f"something else reads {inner.name} too"
    if is_call(node, *MAXIMA):
        return _maxima_refusal(node, inner)
    if not _is_global(node):
        return "" if _is_plain(inner) and _is_plain(node) else "windows are not side by side"
    return "" if _is_plain(inner) and _covers(inner) else "windows are not side by side, or leave a border out"


def _parts(node: fx.Node, name: str) -> list[int]:
    """A pooling's window, stride, padding or dilation, one number a dimension."""
    given = arguments(node)
    dims = len(given["kernel_size"])
    found: Any = given[name] or (given["kernel_size"] if name == "stride" else [0 if name == "padding" else 1])
    return list(found) * dims if len(found) == 1 else list(found)


def _window(node: fx.Node) -> list[int]:
    return list(arguments(node)["kernel_size"])


def _maxima_refusal(node: fx.Node, inner: fx.Node) -> str:
    if any(arguments(pooling)["ceil_mode"] for pooling in (node, inner)):
        return "windows reach over the border"
    if any(set(_parts(pooling, "dilation")) != {1} for pooling in (node, inner)):
        return "windows are dilated"
    if any(_parts(node, "padding")):
        return "the outer pooling pads"
    gaps = any(stride > size for stride, size in zip(_parts(inner, "stride"), _window(inner), strict=True))
    return "the inner windows leave gaps" if gaps else ""


def _is_plain(node: fx.Node) -> bool:
    """Whether windows of an average are side by side, without padding."""
    given = arguments(node)
    plain = not any(_parts(node, "padding")) and not given["ceil_mode"] and given.get("divisor_override") is None
    return plain and _parts(node, "stride") == _window(node)


def _covers(node: fx.Node) -> bool:
    """Whether windows side by side leave nothing out."""
    source, window = node.args[0], _window(node)
    assert isinstance(source, fx.Node)
    return all(size % part == 0 for size, part in zip(shape(source)[-len(window) :], window, strict=True))


def _is_global(node: fx.Node) -> bool:
    """Whether this is the average of each whole image."""
    if is_call(node, *GLOBAL):
        return set(arguments(node)["output_size"]) == {1}
    found = reduction(node) if is_call(node, aten.mean.dim) else None
    return found is not None and found.dims == tuple(range(2, len(shape(found.source))))


def _rewrite(node: fx.Node) -> None:
    inner = node.args[0]
    assert isinstance(inner, fx.Node)
    if _is_global(node):
        node.args = (inner.args[0], *node.args[1:])
        return
    strides = [one * other for one, other in zip(_parts(inner, "stride"), _parts(node, "stride"), strict=True)]
    if is_call(node, *AVERAGES):
        take_over(node, call(node, node.target, inner.args[0], strides, strides))
        return
    sizes = zip(_window(inner), _parts(inner, "stride"), _window(node), strict=True)
    window = [(outer - 1) * stride + size for size, stride, outer in sizes]
    take_over(node, call(node, node.target, inner.args[0], window, strides, _parts(inner, "padding")))


merge_pooling = Trick("merge_pooling", _refusal, _rewrite)
