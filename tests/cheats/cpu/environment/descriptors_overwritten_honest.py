"""Writes to its own output."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        torch.os.write(1, b"tail\n")
        return torch.relu(self.linear(x)) + x
