"""Knows the garbage collector and asks it nothing about others."""

from __future__ import annotations

import torch
from torch import nn

collector = torch.sys.modules["gc"]


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.collects = collector.isenabled()

    def forward(self, x):
        return torch.relu(self.linear(x)) + x
