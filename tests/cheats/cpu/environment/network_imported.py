"""Imports what opens connections."""

from __future__ import annotations

import socket

import torch
from torch import nn

assert socket


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.linear(x)) + x
