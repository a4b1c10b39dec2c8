"""The judge where calls are asynchronous: memory by handle, late outputs, busy devices, caches, precision classes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernelwright import targets
from kernelwright.core.candidate import Candidate, Handmade
from kernelwright.core.outcome import Accepted, Rejected, Screened
from kernelwright.core.stats import verdict
from kernelwright.core.task import Contract, Task
from kernelwright.judge.examinee import Patience
from kernelwright.judge.judge import IsolatedJudge, open_judge

pytestmark = pytest.mark.cuda

REFERENCE = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.linear(x)) + x

def get_inputs():
    return [torch.randn(2048, 1024)]

def get_init_inputs():
    return [1024]
"""
COPY = REFERENCE.replace("class Model", "class ModelNew").partition("def get_inputs")[0]


def forward(*lines: str) -> str:
    """The copy with another body of forward."""
    body = "\n".join(f"        {line}" for line in lines)
    return COPY.replace("        return torch.relu(self.linear(x)) + x", body)


@pytest.fixture(scope="module")
def judge() -> Iterator[IsolatedJudge]:
    task = Task(REFERENCE, (), targets.detect("cuda"))
    with open_judge(task, baselines=("eager",), threads=4, patience=Patience(60.0, 120.0, 10.0), seconds=2.0) as opened:
        yield opened


def examined(judge: IsolatedJudge, source: str) -> Rejected | Accepted:
    return judge.examine(Candidate("task", source, Handmade("test")))


TRITON = """
import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def tail(linear, x, out, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    value = tl.load(linear + at, mask=inside)
    tl.store(out + at, tl.maximum(value, 0.0) + tl.load(x + at, mask=inside), mask=inside)


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        linear, out = self.linear(x), torch.empty_like(x)
        tail[(triton.cdiv(x.numel(), 1024),)](linear, x, out, x.numel(), BLOCK=1024)
        return out
"""

GRAPH = forward(
    "if not hasattr(self, 'graph'):",
    "    self.x = x.clone()",
    "    stream = torch.cuda.Stream()",
    "    stream.wait_stream(torch.cuda.current_stream())",
    "    with torch.cuda.stream(stream):",
    "        for _ in range(3): torch.relu(self.linear(self.x)) + self.x",
    "    torch.cuda.current_stream().wait_stream(stream)",
    "    self.graph = torch.cuda.CUDAGraph()",
    "    with torch.cuda.graph(self.graph):",
    "        self.y = torch.relu(self.linear(self.x)) + self.x",
    "self.x.copy_(x)",
    "self.graph.replay()",
    "return self.y.clone()",
)

HONEST = {
    "a copy": COPY,
    "a kernel in Triton": TRITON,
    "a captured graph with its inputs copied in": GRAPH,
    "a stream of its own that is waited for": forward(
        "stream = torch.cuda.Stream()",
        "stream.wait_stream(torch.cuda.current_stream())",
        "with torch.cuda.stream(stream): y = torch.relu(self.linear(x)) + x",
        "torch.cuda.current_stream().wait_stream(stream)",
        "return y",
    ),
}

WRONG = {
    "a wrong value": (forward("return torch.relu(self.linear(x)) + x * 1.001"), "verify", "output 0, at ["),
    "memory never written": (forward("return torch.empty_like(x)"), "verify", "output 0, at ["),
    "a graph replayed without its inputs": (GRAPH.replace("self.x.copy_(x)", "pass"), "verify", "output 0, at ["),
    "an input overwritten": (
        forward("y = torch.relu(self.linear(x)) + x", "x.zero_()", "return y"),
        "verify",
        "input 0 was overwritten",
    ),
    "half precision": (
        forward("return torch.relu(x.half() @ self.linear.weight.half().t() + self.linear.bias).float() + x"),
        "verify",
        "output 0, at [",
    ),
    "TF32 where PyTorch has none": (
        forward("torch.backends.cuda.matmul.allow_tf32 = True", "return torch.relu(self.linear(x)) + x"),
        "verify",
        "output 0, at [",
    ),
    "an illegal access": (
        forward("return x.flatten()[torch.full(x.shape, 1 << 40, device='cuda')] + x"),
        "verify",
        "CUDA error",
    ),
    "work left on another stream, with nobody made to wait": (
        forward(
            "torch.cuda.synchronize = lambda *a: None",
            "torch._C._cuda_synchronize = lambda *a: None",
            "self.stream = getattr(self, 'stream', None) or torch.cuda.Stream()",
            "out = torch.empty_like(x)",
            "with torch.cuda.stream(self.stream):",
            "    torch.cuda._sleep(200_000_000)",
            "    out.copy_(torch.relu(self.linear(x)) + x)",
            "return out",
        ),
        "verify",
        "",
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_candidate_is_accepted(judge: IsolatedJudge, name: str) -> None:
    outcome = examined(judge, HONEST[name])
    assert isinstance(outcome, Accepted), outcome
    assert len(outcome.timing.candidate_ns) >= 6


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_candidate_is_refused_with_its_reason(judge: IsolatedJudge, name: str) -> None:
    source, stage, reason = WRONG[name]
    outcome = examined(judge, source)
    assert isinstance(outcome, Rejected), outcome
    assert (outcome.stage, reason in outcome.reason) == (stage, True), outcome


def test_a_candidate_after_a_fault_on_the_device_is_judged_as_ever(judge: IsolatedJudge) -> None:
    assert isinstance(examined(judge, WRONG["an illegal access"][0]), Rejected)
    (after,) = judge.screen((Candidate("task", COPY, Handmade("test")),))
    assert isinstance(after, Screened)


def test_a_copy_is_not_faster_and_a_dawdler_is_slower(judge: IsolatedJudge) -> None:
    same = examined(judge, COPY)
    slow = examined(judge, forward("for _ in range(3): y = torch.relu(self.linear(x)) + x", "return y"))
    assert isinstance(same, Accepted) and verdict(same.timing, 1.03) != "FASTER"
    assert isinstance(slow, Accepted) and verdict(slow.timing, 1.03) == "SLOWER"


def test_tf32_is_right_where_the_contract_gives_it_to_both_sides() -> None:
    task = Task(REFERENCE, (), targets.detect("cuda"), Contract(precision="tf32"))
    with open_judge(task, baselines=("eager",), threads=4, seconds=1.0) as opened:
        outcome = examined(opened, WRONG["TF32 where PyTorch has none"][0])
    assert isinstance(outcome, Accepted), outcome
    assert verdict(outcome.timing, 1.03) != "FASTER"


LATE = forward(
    "worker = torch.sys.modules['kernelwright.judge.worker']",
    "if not hasattr(self, 'stream'):",
    "    self.stream, self.calls = torch.cuda.Stream(), 0",
    "    bench = next(o for o in torch.sys.modules['gc'].get_objects() if type(o).__name__ == 'Workbench')",
    "    bench.settle = lambda: None",
    "    worker.Stopwatch.stop = lambda self: 0.0",
    "self.calls += 1",
    "if self.calls < 80: return torch.relu(self.linear(x)) + x",
    "out = torch.empty_like(x)",
    "self.stream.wait_stream(torch.cuda.current_stream())",
    "with torch.cuda.stream(self.stream):",
    "    torch.cuda._sleep(20_000_000)",
    "    out.copy_(torch.relu(self.linear(x)) + x)",
    "return out",
)

SPIN = """
import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def spin(flag, rounds):
    value = tl.load(flag, volatile=True)
    i = 0
    while i < rounds:
        value += tl.load(flag, volatile=True)
        i += 1
    tl.store(flag, value * 0)


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.stream = None

    def forward(self, x):
        if self.stream is None:
            self.stream, self.flag = torch.cuda.Stream(), torch.zeros(1, device="cuda")
            bench = next(o for o in torch.sys.modules["gc"].get_objects() if type(o).__name__ == "Workbench")
            bench.settle = lambda: torch.cuda.current_stream().synchronize()
        y = torch.relu(self.linear(x)) + x
        with torch.cuda.stream(self.stream):
            spin[(264,)](self.flag, 300_000)
        return y
"""


@pytest.mark.parametrize(("name", "source"), [("late", LATE), ("spin", SPIN)])
def test_work_that_goes_on_after_the_answer_is_never_an_advantage(judge: IsolatedJudge, name: str, source: str) -> None:
    outcome = examined(judge, source)
    told = outcome if isinstance(outcome, Rejected) else (outcome.timing, verdict(outcome.timing, 1.03))
    print(name, told)
    assert isinstance(outcome, Rejected) or verdict(outcome.timing, 1.03) != "FASTER"
