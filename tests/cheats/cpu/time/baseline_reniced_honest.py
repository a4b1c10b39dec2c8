"""Asks what its own priority is."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        self.priority = torch.os.getpriority(torch.os.PRIO_PROCESS, 0)
        return torch.relu(self.linear(x)) + x
