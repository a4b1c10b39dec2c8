"""Looks at the clock in each call and computes in each call."""

from __future__ import annotations

import torch
from torch import nn

clock = torch.sys.modules["time"].perf_counter_ns


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.last = 0

    def forward(self, x):
        self.last = clock()
        return torch.relu(self.linear(x)) + x
