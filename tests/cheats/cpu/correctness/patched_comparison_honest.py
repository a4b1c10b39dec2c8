"""Has a comparison of its own."""

from __future__ import annotations

import torch
from torch import nn


def alike(one, other):
    return one.shape == other.shape


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        y = torch.relu(self.linear(x)) + x
        assert alike(y, y)
        return y
