"""Changes to another exact way after sixty calls."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        if self.calls < 60:
            return torch.relu(self.linear(x)) + x
        return torch.addmm(self.linear.bias, x, self.linear.weight.t()).relu() + x
