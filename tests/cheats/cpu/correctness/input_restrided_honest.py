"""Looks at the strides of its input and computes all rows."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        rows = x if x.stride(0) == 96 else x.contiguous()
        return torch.relu(self.linear(rows)) + rows
