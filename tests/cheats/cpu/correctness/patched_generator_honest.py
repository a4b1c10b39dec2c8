"""Draws from a generator of its own."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.noise = torch.randn(4, generator=torch.Generator().manual_seed(0))

    def forward(self, x):
        return torch.relu(self.linear(x)) + x
