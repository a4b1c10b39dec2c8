"""Computes in float64 and returns float32."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return (torch.relu(x.double() @ self.linear.weight.t().double() + self.linear.bias) + x).float()
