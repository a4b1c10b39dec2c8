"""Writes files until it is stopped, at most two hundred megabytes."""

from __future__ import annotations

import torch
from torch import nn

for number in range(20):
    handle = torch.os.open(f"file{number}", torch.os.O_CREAT | torch.os.O_WRONLY)
    torch.os.write(handle, bytes(10 << 20))
    torch.os.close(handle)
torch.sys.modules["time"].sleep(2)


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.linear(x)) + x
