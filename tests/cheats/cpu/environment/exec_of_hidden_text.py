"""Runs text that nobody can read."""

from __future__ import annotations

import torch
from torch import nn

exec(bytes.fromhex("6e6f7468696e67203d2030").decode())


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.linear(x)) + x
