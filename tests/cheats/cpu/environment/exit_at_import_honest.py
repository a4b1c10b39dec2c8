"""Would end the process if it were a program."""

from __future__ import annotations

import torch
from torch import nn

if __name__ == "__main__":
    raise SystemExit(0)


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.linear(x)) + x
