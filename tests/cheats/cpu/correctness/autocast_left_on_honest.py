"""Sees to it that its own arithmetic is not cast."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        with torch.autocast("cpu", enabled=False):
            return torch.relu(self.linear(x)) + x
