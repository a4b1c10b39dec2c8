"""Finds the values where the places say."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def forward(self, x):
        places = x.topk(5, dim=-1).indices
        return x.gather(-1, places), places
