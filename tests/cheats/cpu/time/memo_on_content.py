"""Remembers the last answer by the whole input. It never pays, since no timed call has the bytes of another."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.given, self.version = None, -1

    def forward(self, x):
        if self.given is None or not torch.equal(x, self.given) or self.version != self.linear.weight._version:
            for _ in range(2):
                self.answer = torch.relu(self.linear(x)) + x
            self.given, self.version = x.clone(), self.linear.weight._version
        return self.answer.clone()
