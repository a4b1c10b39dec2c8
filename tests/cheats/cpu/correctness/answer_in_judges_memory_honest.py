"""Reads what the system says about its own process."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        self.threads = len(torch.os.listdir("/proc/self/task"))
        return torch.relu(self.linear(x)) + x
