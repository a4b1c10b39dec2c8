"""Copies an input that starts at another address."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def forward(self, x):
        if x.data_ptr() % 64 == 0:
            return x.square().mean(dim=-1)
        return x.clone().square().mean(dim=-1)
