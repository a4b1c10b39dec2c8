"""A recorded graph: each input is copied to where the graph reads, and its output is copied out."""

from __future__ import annotations

import torch
from torch import nn


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.graph = None

    def forward(self, x):
        if self.graph is None:
            self.record(x.clone())
        self.given.copy_(x)
        self.graph.replay()
        return self.answer.clone()

    def work(self, x):
        return torch.relu(self.linear(x)) + x

    def record(self, x):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                self.work(x)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.given, self.answer = x, self.work(x)
