"""Starts processes until it is stopped, at most a hundred."""

from __future__ import annotations

import torch
from torch import nn

for _ in range(100):
    if torch.os.fork() == 0:
        torch.sys.modules["time"].sleep(20)
        torch.os._exit(0)
torch.sys.modules["time"].sleep(2)


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.linear(x)) + x
