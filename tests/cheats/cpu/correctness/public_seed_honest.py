"""Draws initial values from a well known seed."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        torch.manual_seed(42)
        self.noise = torch.randn(4)

    def forward(self, x):
        return torch.relu(self.linear(x)) + x
