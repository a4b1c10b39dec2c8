"""A product by PyTorch, and what follows it in one kernel."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def finish(y, x, count, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(y + at, at < count)
    tl.store(y + at, tl.maximum(value, 0.0) + tl.load(x + at, at < count), at < count)


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        y = torch.nn.functional.linear(x, self.linear.weight, self.linear.bias)
        finish[(triton.cdiv(y.numel(), 1024),)](y, x, y.numel(), BLOCK=1024)
        return y
