"""Leaves a kernel behind that keeps the device busy while others are on the clock."""

from __future__ import annotations

import torch
from torch import nn

torch._C._cuda_synchronize = lambda: None


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.stream = None

    def forward(self, x):
        y = torch.relu(self.linear(x)) + x
        if self.stream is None:
            self.stream = torch.cuda.Stream()
        with torch.cuda.stream(self.stream):
            torch.cuda._sleep(20_000_000)
        return y
