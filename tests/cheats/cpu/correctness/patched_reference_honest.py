"""Has a linear layer of its own whose forward it writes anew."""

from __future__ import annotations

import torch
from torch import nn


class Linear(nn.Linear):
    def forward(self, x):
        return torch.addmm(self.bias, x, self.weight.t())


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.linear = Linear(width, width)

    def forward(self, x):
        return torch.relu(self.linear(x)) + x
