"""Has a text and reads it."""

from __future__ import annotations

import torch
from torch import nn

text = bytes.fromhex("7265 6c75").decode()


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.linear(x)) + x
