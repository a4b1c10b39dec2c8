"""Makes a module of its own and leaves the others alone."""

from __future__ import annotations

import torch
from torch import nn

own = type(torch)("tail")


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.linear(x)) + x
