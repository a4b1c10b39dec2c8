"""The five largest of each row by finding the largest five times."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def forward(self, x):
        left = x.clone()
        values, places = [], []
        for _ in range(5):
            place = left.argmax(dim=1, keepdim=True)
            values.append(left.gather(1, place))
            places.append(place)
            left.scatter_(1, place, float("-inf"))
        return torch.cat(values, dim=1), torch.cat(places, dim=1)
