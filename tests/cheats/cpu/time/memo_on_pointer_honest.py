"""Remembers packed weights by their version."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.known = {}

    def forward(self, x):
        weight = self.linear.weight
        key = (weight.data_ptr(), weight._version)
        if key not in self.known:
            self.known = {key: weight.t().contiguous()}
        return torch.relu(x @ self.known[key] + self.linear.bias) + x
