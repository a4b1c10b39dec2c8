"""The larger of the input and zero."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def forward(self, x):
        return torch.maximum(x, torch.zeros(1))
