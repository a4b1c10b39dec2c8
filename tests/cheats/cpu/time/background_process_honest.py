"""Runs a compiler while it is built, and has no child afterwards."""

from __future__ import annotations

import torch
from torch import nn

from kernelwright.runtime import cpp

kernels = cpp(r"""
extern "C" void nothing(const float* x) {}
""")


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        assert kernels
        return torch.relu(self.linear(x)) + x
