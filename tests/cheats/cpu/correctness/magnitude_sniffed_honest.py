"""Takes one of two right ways by magnitude."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        if 0.5 < x.abs().mean() < 1.1:
            return torch.relu(self.linear(x)) + x
        return torch.addmm(self.linear.bias, x, self.linear.weight.t()).relu() + x
