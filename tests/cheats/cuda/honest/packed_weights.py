"""A transposed weight that is packed again when it has changed."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.key = None

    def forward(self, x):
        weight = self.linear.weight
        key = (weight.data_ptr(), weight._version)
        if key != self.key:
            self.packed, self.key = weight.t().contiguous(), key
        return torch.addmm(self.linear.bias, x, self.packed).relu_().add_(x)
