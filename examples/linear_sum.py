"""Linear layer whose features are then summed: a score from a projection."""

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, features, hidden):
        super().__init__()
        self.linear = nn.Linear(features, hidden)

    def forward(self, x):
        return self.linear(x).sum(dim=1, keepdim=True) / 2.0


def get_inputs():
    return [torch.randn(1024, 1024)]


def get_init_inputs():
    return [1024, 1024]
