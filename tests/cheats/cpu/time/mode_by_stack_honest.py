"""Looks how deep the stack is, and computes in any case."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        frame = torch.sys._getframe()
        while frame.f_back:
            frame = frame.f_back
        return torch.relu(self.linear(x)) + x
