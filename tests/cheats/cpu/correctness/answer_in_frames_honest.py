"""Looks at its own frame, for a line number in a message."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        self.line = torch.sys._getframe().f_lineno
        return torch.relu(self.linear(x)) + x
