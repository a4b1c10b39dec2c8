"""Residual add and layer norm: twice in every transformer block."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.norm = nn.LayerNorm(features)

    def forward(self, x, residual):
        return self.norm(x + residual)


def get_inputs():
    return [torch.randn(20, 512, 768), torch.randn(20, 512, 768)]


def get_init_inputs():
    return [768]
