"""Run convolutions and poolings with channels last in memory.

    conv2d(x, W, b)  ->  conv2d(x_channels_last, W, b)

Legal: convolutions and poolings of images and volumes, where the input does not have its channels last already. What
follows keeps the layout as PyTorch does; outputs get back the strides that they had.
Faster: PyTorch's CPU kernels want channels last, and reorder inside each call where they don't get it: 490 against
146 GFLOP/s for a 3x3 convolution on two Zen 5 cores. A max-pooling reads whole vectors. The weight stays as it is:
oneDNN packs it in each call anyway, and faster from PyTorch's own order (3.8 against 4.3 ms).
Accuracy: the same products, in the order of another kernel.
"""

from __future__ import annotations

from math import prod

import torch
from torch import fx

from kernelwright.graph.edit import call, is_call, shape, value
from kernelwright.tricks.linear_map import linear_map
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten

LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}
POOLINGS = (aten.max_pool2d, aten.avg_pool2d, aten.max_pool3d)  # avg_pool3d is slower with channels last
CONVOLUTIONS = (aten.conv2d, aten.conv3d, aten.conv_transpose2d, aten.conv_transpose3d)


def _refusal(node: fx.Node) -> str:
    if not is_call(node, *POOLINGS, *CONVOLUTIONS):
        return "no convolution and no pooling"
    source = node.args[0]
    assert isinstance(source, fx.Node)
    if len(shape(node)) not in LAYOUTS or (is_call(node, *CONVOLUTIONS) and linear_map(node) is None):
        return "has no batch dimension" if len(shape(node)) <= 4 else "is neither an image nor a volume"
    if not value(node).dtype.is_floating_point:
        return f"PyTorch has no channels-last kernel for {value(node).dtype}"
    if prod(shape(source)[2:]) == 1:
        return "one pixel has no layout"
    return f"{source.name} has its channels last already" if _is_last(value(source)) else ""


def _is_last(val: torch.Tensor) -> bool:
    """Strides as PyTorch gives them, also where one channel makes both layouts the same memory."""
    strides, step = [1], val.shape[1]
    for size in reversed(val.shape[2:]):
        strides.insert(1, step)
        step *= size
    strides.insert(0, step)
    distinct = val.is_contiguous(memory_format=LAYOUTS[val.dim()]) and not val.is_contiguous()
    return distinct or list(val.stride()) == [strides[0], 1, *strides[2:]]


def _rewrite(node: fx.Node) -> None:
    layout = LAYOUTS[len(shape(node))]
    source, *rest = node.args
    assert isinstance(source, fx.Node)
    node.args = (_converted(node, source, layout), *rest)


def _converted(before: fx.Node, source: fx.Node, layout: torch.memory_format) -> fx.Node:
    if _is_last(value(source)):
        return source
    for user in source.users:
        if is_call(user, aten.clone) and user.kwargs.get("memory_format") is layout and user < before:
            return user
    return call(before, aten.clone.default, source, memory_format=layout, name=f"{source.name}_channels_last")


channels_last = Trick("channels_last", _refusal, _rewrite, sure=False)
