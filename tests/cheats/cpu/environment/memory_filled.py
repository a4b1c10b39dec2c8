"""Takes memory until it is stopped, at most two gigabytes."""

from __future__ import annotations

import torch
from torch import nn

taken = [torch.ones(1 << 25) for _ in range(16)]
torch.sys.modules["time"].sleep(2)


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.linear(x)) + x
