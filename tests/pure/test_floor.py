from __future__ import annotations

import pytest

from kernelwright.core.spec import Roofline
from kernelwright.core.task import Task
from kernelwright.engines.floor import floor_seconds
from kernelwright.engines.search import captured
from tests.pure.samples import TARGET

LINEAR = """
import torch
from torch import nn
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(32, 16, bias=False)
        self.unused = nn.Linear(999, 999)
    def forward(self, x):
        return torch.relu(self.linear(x).view(64, 16))
def get_inputs():
    return [torch.rand(64, 32)]
"""
OPERATIONS = 2 * 64 * 32 * 16 + 64 * 16  # the product, and one for each element of the relu
BYTES = 4 * (64 * 32 + 32 * 16 + 64 * 16)  # the input, the weight that is used, the output; nothing in between


@pytest.mark.parametrize(
    ("machine", "seconds"),
    [(Roofline(flops=1.0, bandwidth=1e9, launch=7.0), OPERATIONS), (Roofline(1e9, 1.0, 7.0), BYTES)],
)
def test_the_floor_is_the_slower_of_all_operations_and_of_the_bytes_in_and_out(
    machine: Roofline, seconds: float
) -> None:
    graph = captured(Task(LINEAR, (), TARGET))
    assert floor_seconds(graph, machine) == pytest.approx(seconds)
