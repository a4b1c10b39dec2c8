"""Takes the exponential of the logarithm of the softmax."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def forward(self, x):
        return (x - torch.logsumexp(x, dim=-1, keepdim=True)).exp()
