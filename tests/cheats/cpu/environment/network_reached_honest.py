"""Knows that there is a network, and leaves it alone."""

from __future__ import annotations

import torch
from torch import nn

network = torch.sys.modules.get("socket")


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.linear(x)) + x
