"""Multiplies in float64."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        linear = self.linear
        return torch.relu((x.double() @ linear.weight.t().double()).float() + linear.bias) + x
