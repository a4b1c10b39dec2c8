"""What the Triton kernels are tried on, by skeleton."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn, randn

Case = tuple[str, Callable[..., Any], tuple[torch.Tensor, ...]]

MAP: list[Case] = [
    ("gelu", F.gelu, (randn(1000),)),
    ("a row", lambda x, y: torch.relu(x * y + 1), (randn(64, 33), randn(33))),
    ("transposed", lambda x, y: x.t() + y, (randn(33, 64), randn(64, 33))),
    ("channels", lambda x, y: torch.sigmoid(x + y), (randn(2, 3, 5, 7), randn(3, 1, 1))),
    ("channels last", lambda x: F.relu(x) * 2, (randn(2, 3, 4, 5).to(memory_format=torch.channels_last),)),
    ("a slice", lambda x: F.mish(x[:, 2:7]), (randn(20, 30),)),
    ("two outputs", lambda x: (x.masked_fill(x > 0.5, float("-inf")), x > 0), (randn(3, 100),)),
    ("a triangle", lambda x: torch.triu(x), (randn(4, 33, 33),)),
    ("a choice", lambda x, m: torch.where(m, x, x * 0.5) * m, (randn(5, 67), randn(5, 1) > 0)),
    ("integers", lambda x, t: x * t + (t > 2), (randn(5, 67), torch.randint(0, 9, (67,)))),
    ("accurate near 0", lambda x: torch.tanh(x) + torch.expm1(x) + torch.log1p(x), (randn(5, 67) * 1e-4,)),
    ("a reshape", lambda x: F.silu(x).view(5, 8, 4) + torch.ones(4), (randn(5, 32),)),
    ("one element", lambda x: x * 2, (randn(()),)),
    ("NaN", lambda x, y: torch.maximum(x, y), (torch.tensor([1.0, float("nan")]), torch.tensor([float("nan"), 1.0]))),
]


class Linear(nn.Module):
    def __init__(self, after: Callable[..., Any]) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 128)
        self.after = after

    def forward(self, x: torch.Tensor) -> Any:
        return self.after(self.fc(x))


MATMUL: list[Case] = [
    ("linear, gelu", Linear(F.gelu), (randn(4, 37, 64),)),
    ("two outputs", Linear(lambda y: (y, F.silu(y))), (randn(37, 64),)),
    ("heads", Linear(lambda y: y.view(2, 20, 8, 16).transpose(1, 2) * 1.5), (randn(2, 20, 64),)),
    ("bmm", torch.bmm, (randn(3, 17, 40), randn(3, 40, 50))),
    (
        "bmm, transposed",
        lambda a, b: torch.relu(a @ b.transpose(-1, -2) * 0.5),
        (randn(2, 3, 17, 40), randn(2, 3, 50, 40)),
    ),
    ("addmm", lambda b, x, w: torch.addmm(b, x, w, beta=0.5, alpha=2.0), (randn(70), randn(50, 30), randn(30, 70))),
    ("baddbmm", torch.baddbmm, (randn(4, 50, 70), randn(4, 50, 30), randn(4, 30, 70))),
    ("transposed left", lambda x, w: x.t() @ w, (randn(30, 50), randn(30, 70))),
    ("work before", lambda x, w: (torch.exp(x) + 1) @ w.t(), (randn(50, 30), randn(70, 30))),
    ("one row", lambda x, w: x @ w, (randn(1, 30), randn(30, 40))),
    ("one column", lambda x, w: x @ w, (randn(50, 30), randn(30, 1))),
    ("residual", lambda x, w: x @ w + x, (randn(50, 40), randn(40, 40))),
]

CASES: dict[str, list[Case]] = {"map": MAP, "matmul": MATMUL}
