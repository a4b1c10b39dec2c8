"""Linear layer with an activation, a scale and a residual: the usual tail of a projection."""

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.linear = nn.Linear(features, features)
        self.scale = nn.Parameter(torch.rand(features) + 0.5)

    def forward(self, x):
        return F.gelu(self.linear(x)) * self.scale + x


def get_inputs():
    return [torch.randn(1024, 1024)]


def get_init_inputs():
    return [1024]
