"""Looks for the five largest among the first 150 of 300."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def forward(self, x):
        values, places = x[:, :150].topk(5, dim=-1)
        return values, places
