"""Every candidate that the search proposes for small modules of many kinds, built and run against the original."""

from __future__ import annotations

import types

import pytest
import torch

from kernelwright.capture import source
from kernelwright.core.candidate import Candidate
from kernelwright.core.outcome import Screened, Trial
from kernelwright.core.task import Task
from kernelwright.engines.search import Search
from kernelwright.targets import cpu, detect
from tests.pure.samples import ENVIRONMENT

HEAD = """
import torch
from torch import nn
from torch.nn import functional as F


class Model(nn.Module):
    def __init__(self):
        super().__init__()
"""

MODULES = {
    "linear_sum": ("self.fc = nn.Linear(24, 40)", "return self.fc(x).sum(dim=1, keepdim=True) * 0.5", "(17, 24)"),
    "linear_tail": ("self.fc = nn.Linear(24, 40)", "return F.gelu(self.fc(x) * 2.0).clamp(max=1.5)", "(5, 7, 24)"),
    "mlp": (
        "self.a, self.b = nn.Linear(24, 33), nn.Linear(33, 24, bias=False)",
        "return self.b(F.silu(self.a(x))) + x",
        "(9, 24)",
    ),
    "softmax": ("", "return (x * 3).softmax(-1)", "(6, 70)"),
    "softmax_channels": ("", "return x.softmax(1) + x.mean(1, keepdim=True)", "(2, 5, 9, 7)"),
    "layer_norm": ("self.norm = nn.LayerNorm(50)", "return torch.relu(self.norm(x) + x)", "(6, 50)"),
    "rms": (
        "self.w = nn.Parameter(torch.rand(50))",
        "return x * torch.rsqrt(x.square().mean(-1, True) + 1e-6) * self.w",
        "(6, 50)",
    ),
    "conv_tail": (
        "self.conv = nn.Conv2d(3, 8, 3, padding=1); self.bn = nn.BatchNorm2d(8).eval()",
        "return F.max_pool2d(F.relu(self.bn(self.conv(x))) * 0.5, 2)",
        "(2, 3, 12, 12)",
    ),
    "batch_norm_in_training": ("self.bn = nn.BatchNorm2d(5)", "return self.bn(x).relu()", "(3, 5, 4, 4)"),
    "attention": (
        "self.qkv = nn.Linear(32, 96); self.out = nn.Linear(32, 32)",
        "q, k, v = self.qkv(x).view(2, 11, 3, 4, 8).permute(2, 0, 3, 1, 4).unbind(0); "
        "h = F.scaled_dot_product_attention(q, k, v); return self.out(h.transpose(1, 2).reshape(2, 11, 32))",
        "(2, 11, 32)",
    ),
    "cell_loop": (
        "self.cell = nn.LSTMCell(6, 10); self.head = nn.Linear(10, 3)",
        "h = c = x.new_zeros(4, 10)\n"
        "        for t in range(x.shape[1]):\n            h, c = self.cell(x[:, t], (h, c))\n"
        "        return self.head(h)",
        "(4, 5, 6)",
    ),
    "loss": ("", "return F.mse_loss(torch.sigmoid(x), x.flip(0)) + x.logsumexp(-1).mean()", "(8, 30)"),
    "last_step": ("self.fc = nn.Linear(12, 20)", "return self.fc(x).tanh()[:, -1]", "(3, 6, 12)"),
    "scalar_and_mask": ("", "return torch.where(x > 0, x, 0.1 * x).masked_fill(x.abs() > 2, 0.0) / 3", "(5, 9)"),
    "transposed": ("", "return x.transpose(1, 2) * 2 + 1", "(3, 4, 5)"),
}  # fmt: skip


def task_of(name: str) -> Task:
    init, forward, shape = MODULES[name]
    text = f"{HEAD}        {init}\n\n    def forward(self, x):\n        {forward}\n\n\n"
    text += f"def get_inputs():\n    return [torch.randn{shape}]\n\n\ndef get_init_inputs():\n    return []\n"
    inputs = source.draw_inputs(source.load(text), seed=0)
    return Task(text, tuple(source.spec_of(value) for value in inputs), detect("cpu"))


def load_new(candidate: Candidate) -> torch.nn.Module:
    module = types.ModuleType("candidate")
    exec(compile(candidate.source, "candidate.py", "exec"), module.__dict__)
    return module.ModelNew()


def flat(output: object) -> list[torch.Tensor]:
    return list(output) if isinstance(output, tuple | list) else [output]  # type: ignore[list-item]


@pytest.mark.parametrize("name", MODULES)
def test_every_candidate_computes_what_the_module_does(name: str) -> None:
    task, search = task_of(name), Search(cpu.roofline(detect("cpu")), width=20)
    reference = source.load(task.reference)
    opening = search.propose(task, ())
    trials = [Trial(0, "search", c, Screened(1e6 + i), ENVIRONMENT) for i, c in enumerate(opening)]
    candidates = (*opening, *search.propose(task, trials)[:6])
    assert candidates
    for seed, candidate in enumerate(candidates):
        torch.manual_seed(seed)
        model, new = source.build(reference), load_new(candidate)
        new.load_state_dict(model.state_dict(), strict=True)
        inputs = source.draw_inputs(reference, seed)
        with torch.no_grad():
            wanted, got = flat(model(*inputs)), flat(new(*inputs))
        for one, other in zip(got, wanted, strict=True):
            assert torch.allclose(one, other, rtol=2e-5, atol=2e-6), candidate.source
            if other.numel() < other.untyped_storage().nbytes() // other.element_size():
                continue  # a slice of something larger may come back compact
            assert one.stride() == other.stride(), candidate.source
        for one, other in zip(new.buffers(), model.buffers(), strict=True):
            torch.testing.assert_close(one, other)
