"""Sorts the whole row and takes the first five."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def forward(self, x):
        values, places = x.sort(dim=-1, descending=True)
        return values[:, :5].clone(), places[:, :5].clone()
