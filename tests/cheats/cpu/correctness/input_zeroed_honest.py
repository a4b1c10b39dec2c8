"""Clears a copy of the input that it used as scratch."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        scratch = x.clone()
        y = torch.relu(self.linear(x)) + scratch
        scratch.zero_()
        return y
