"""Batch norm in train mode: the running statistics change with each call."""

from __future__ import annotations

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x):
        return torch.relu(self.norm(x))


def get_inputs():
    return [torch.randn(64, 48) + 0.5]


def get_init_inputs():
    return [48]
