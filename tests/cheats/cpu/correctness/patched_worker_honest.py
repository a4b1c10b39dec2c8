"""Looks at its own module in the table of modules."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.file = torch.sys.modules[__name__].__name__

    def forward(self, x):
        return torch.relu(self.linear(x)) + x
