"""What a graph costs by the roofline model, so that only a few plans are ever measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx
from torch.fx.node import map_arg
from torch.utils.flop_counter import FlopCounterMode

from kernelwright.core.spec import Roofline
from kernelwright.graph.edit import fake_mode, is_tensor, is_view, value
from kernelwright.kernels.kernel import Kernel

aten = torch.ops.aten

# Shares of the peak that PyTorch's own CPU calls reach, measured with fp32 on Zen 5 and torch 2.13: 1024^3 linear 193,
# NCHW convolution 146, channels-last convolution 490 GFLOP/s where the peak is about 500. They rank plans, no more.
LIBRARY_MATMUL = 0.4
LIBRARY_CONVOLUTION = 0.3
LIBRARY_CONVOLUTION_CHANNELS_LAST = 0.9
ONEDNN = 0.9
KERNEL = 0.8


def kernel_seconds(kernel: Kernel, roofline: Roofline) -> float:
    return roofline.seconds(kernel.flops / KERNEL, kernel.nbytes)


def call_seconds(node: fx.Node, roofline: Roofline) -> float:
    """One PyTorch call: nothing for a view, else the roofline with the share of the peak that libraries reach."""
    if is_view(node):
        return 0.0
    tensors = [source for source in node.all_input_nodes if is_tensor(source)] + ([node] if is_tensor(node) else [])
    nbytes = sum(value(tensor).numel() * value(tensor).element_size() for tensor in tensors)
    return roofline.seconds(flops(node) / _share(node), nbytes)


def flops(node: fx.Node) -> float:
    """Floating-point operations of one call by PyTorch's own counter; pointwise work counts its elements."""
    if _is_onednn(node):
        weight = value(node.args[1])  # type: ignore[arg-type]
        return 2.0 * value(node).numel() * weight.numel() / weight.shape[0]
    args, kwargs = map_arg((node.args, node.kwargs), lambda n: n.meta["val"])
    counter = FlopCounterMode(display=False)
    target: Any = node.target
    with fake_mode(node.graph), torch.no_grad(), counter:
        target(*args, **kwargs)
    return float(counter.get_total_flops()) or (float(value(node).numel()) if is_tensor(node) else 0.0)


def total(calls: Sequence[fx.Node], kernels: Sequence[Kernel], roofline: Roofline) -> float:
    """Seconds for a covered graph: its kernels, and the calls that stay with PyTorch."""
    return sum(kernel_seconds(kernel, roofline) for kernel in kernels) + sum(
        call_seconds(node, roofline) for node in calls
    )


def _share(node: fx.Node) -> float:
    if _is_onednn(node):
        return ONEDNN
    if "conv" in str(node.target):
        tensor = value(node) if is_tensor(node) else None
        last = tensor is not None and tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
        return LIBRARY_CONVOLUTION_CHANNELS_LAST if last else LIBRARY_CONVOLUTION
    return LIBRARY_MATMUL


def _is_onednn(node: fx.Node) -> bool:
    """PyTorch's counter does not know these."""
    return str(node.target).startswith(("mkldnn._linear_pointwise", "mkldnn._convolution_pointwise"))
