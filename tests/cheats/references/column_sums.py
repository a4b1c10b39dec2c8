"""Sums of columns: a judge of this one gives everybody two threads."""

from __future__ import annotations

import torch
from torch import nn


class Model(nn.Module):
    def forward(self, x):
        return x.sum(dim=0)


def get_inputs():
    return [torch.randn(300, 70)]


def get_init_inputs():
    return []
