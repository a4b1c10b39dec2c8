"""Fold the average over whole images into the input of the convolution before it.

    mean(conv(x, W, b), [2, 3])  ->  conv(s, W, b), s[i, j] = mean of what tap (i, j) of the kernel meets in x

The same for sums, for adaptive pooling to one pixel, for transposed convolutions, and through multiplications by
numbers in between.

Legal: only the reduction reads the convolution, and it takes every dimension of the image; each tap meets something;
a transposed convolution has one group.
Faster: each tap's window is summed once, instead of multiplied with every feature's weight: the work no longer grows
with the number of features.
Accuracy: another order of summation, of fewer terms. Infinite operands may give NaN in one order only.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import fx

from kernelwright.graph.edit import call, dtype, is_call, shape
from kernelwright.graph.query import Reduction, arguments, reduction
from kernelwright.tricks.linear_map import (
    CONVOLUTIONS,
    REDUCE,
    TRANSPOSED,
    LinearMap,
    linear_map,
    reduce_rest,
    unscaled,
)  # fmt: skip
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten

GLOBAL = (aten.adaptive_avg_pool1d, aten.adaptive_avg_pool2d, aten.adaptive_avg_pool3d)
PLAIN = {3: aten.conv1d.default, 4: aten.conv2d.default, 5: aten.conv3d.default}


@dataclass(frozen=True, slots=True)
class Met:
    """What one tap of a kernel meets along one dimension of the input."""

    start: int
    count: int
    step: int

    @property
    def stop(self) -> int:
        return self.start + (self.count - 1) * self.step + 1


def _refusal(node: fx.Node) -> str:
    found = _global(node)
    if found is None:
        return "no sum and no mean over whole images"
    base, between = unscaled(found.source)
    folded = linear_map(base)
    if folded is None or folded.channel != 1 or not is_call(base, *CONVOLUTIONS, *TRANSPOSED):
        return f"{base.name} is no convolution of a batch"
    if any(len(link.users) != 1 for link in (base, *between)):
        return f"something else reads {base.name} too"
    if not dtype(base).is_floating_point or dtype(node) != dtype(base):
        return f"{dtype(base)} becomes {dtype(node)}"
    if is_call(base, *TRANSPOSED) and folded.groups > 1:
        return "a transposed convolution in groups"
    if prod(shape(base)[2:]) == 1:
        return "the image is one pixel"
    return "" if all(met.count > 0 for dim in _taps(folded) for met in dim) else "a tap meets nothing but padding"


def _global(node: fx.Node) -> Reduction | None:
    """A sum or mean over every dimension of an image, and maybe others."""
    if is_call(node, *GLOBAL):
        source: Any = node.args[0]
        spatial = tuple(range(2, len(shape(source))))
        is_one = set(arguments(node)["output_size"]) == {1} and len(spatial) == len(arguments(node)["output_size"])
        return Reduction("mean", source, spatial, True) if is_one else None
    found = reduction(node)
    if found is None or found.kind not in REDUCE or len(shape(found.source)) not in PLAIN:
        return None
    return found if set(range(2, len(shape(found.source)))) <= set(found.dims) else None


def _taps(folded: LinearMap) -> list[list[Met]]:
    """For each dimension of the image, what each tap of the kernel meets."""
    given, dims = arguments(folded.node), len(shape(folded.node)) - 2
    stride, dilation = (_each(given[name], dims) for name in ("stride", "dilation"))
    kernel = shape(folded.weight)[2:]
    left = _left(given["padding"], kernel, dilation)
    meets = _meets_backward if is_call(folded.node, *TRANSPOSED) else _meets_forward
    return [
        [meets(shape(folded.input)[dim + 2], shape(folded.node)[dim + 2], stride[dim], tap * dilation[dim] - left[dim])
         for tap in range(kernel[dim])]
        for dim in range(dims)
    ]  # fmt: skip


def _each(numbers: list[int], dims: int) -> list[int]:
    return list(numbers) * dims if len(numbers) == 1 else list(numbers)


def _left(padding: Any, kernel: tuple[int, ...], dilation: list[int]) -> list[int]:
    """Padding before the first element; "same" pads the odd one behind."""
    if padding == "same":
        return [(size - 1) * step // 2 for size, step in zip(kernel, dilation, strict=True)]
    return [0] * len(kernel) if padding == "valid" else _each(padding, len(kernel))


def _meets_forward(size: int, out: int, stride: int, offset: int) -> Met:
    """Output o reads input o * stride + offset."""
    first = max(0, -(offset // stride))
    last = min(out - 1, (size - 1 - offset) // stride)
    return Met(first * stride + offset, last - first + 1, stride)


def _meets_backward(size: int, out: int, stride: int, offset: int) -> Met:
    """Input i adds to output i * stride + offset."""
    first = max(0, -(offset // stride))
    last = min(size - 1, (out - 1 - offset) // stride)
    return Met(first, last - first + 1, 1)


def _rewrite(node: fx.Node) -> None:
    found = _global(node)
    assert found is not None
    base, between = unscaled(found.source)
    folded = linear_map(base)
    assert folded is not None
    new = _folded(node, folded, found.kind)
    new.name = base.name
    for link in reversed(between):
        new = call(node, link.target, new, *link.args[1:])
        new.name = link.name
    reduce_rest(node, new, found, found.dims[-(len(shape(base)) - 2) :])


def _folded(before: fx.Node, folded: LinearMap, kind: str) -> fx.Node:
    count = prod(shape(folded.node)[2:])
    sums = _window_sums(before, folded)
    weight, bias = folded.weight, folded.bias
    if kind == "mean":
        sums = call(before, aten.div.Tensor, sums, count)
    elif bias is not None:
        bias = call(before, aten.mul.Tensor, bias, count, name=f"{bias.name}_scaled")
    if is_call(folded.node, *TRANSPOSED):
        weight = call(before, aten.transpose.int, weight, 0, 1)
    dims = len(shape(folded.node)) - 2
    geometry = ([1] * dims, [0] * dims, [1] * dims, folded.groups)
    return call(before, PLAIN[dims + 2], sums, weight, bias, *geometry)


def _window_sums(before: fx.Node, folded: LinearMap) -> fx.Node:
    """The input summed over what each tap meets: a small image, of the kernel's size. Last dimension first."""
    sums = folded.input
    taps = _taps(folded)
    for dim in reversed(range(len(taps))):
        parts = {met: _window_sum(before, sums, dim + 2, met) for met in dict.fromkeys(taps[dim])}
        wanted = [parts[met] for met in taps[dim]]
        sums = wanted[0] if len(wanted) == 1 else call(before, aten.cat.default, wanted, dim + 2)
    sums.name = f"{folded.input.name}_window_sums"
    return sums


def _window_sum(before: fx.Node, source: fx.Node, dim: int, met: Met) -> fx.Node:
    part = source
    if met.count < shape(source)[dim]:
        step = () if met.step == 1 else (met.step,)
        part = call(before, aten.slice.Tensor, source, dim, met.start, met.stop, *step)
    return call(before, aten.sum.dim_IntList, part, [dim], True)


fold_global_pooling = Trick("fold_global_pooling", _refusal, _rewrite)
