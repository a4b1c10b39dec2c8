"""Works with a subclass inside and returns a plain tensor."""

from __future__ import annotations

import torch
from torch import nn


class Named(torch.Tensor):
    """A tensor by another name."""


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        out = x.as_subclass(Named)
        return (torch.relu(self.linear(out)) + out).as_subclass(torch.Tensor)
