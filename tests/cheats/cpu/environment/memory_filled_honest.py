"""Takes sixteen megabytes of memory."""

from __future__ import annotations

import torch
from torch import nn

taken = torch.ones(1 << 22)


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.linear(x)) + x
