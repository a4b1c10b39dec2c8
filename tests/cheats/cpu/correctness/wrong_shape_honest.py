"""Keeps the dimension and drops it in the end."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def forward(self, x):
        return x.square().mean(dim=-1, keepdim=True).squeeze(-1)
