"""The stage time on real processes: what a candidate could gain by not working while the clock runs, and doesn't."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernelwright.core.candidate import Candidate, Handmade
from kernelwright.core.outcome import Accepted, Rejected
from kernelwright.core.spec import Target
from kernelwright.core.stats import verdict
from kernelwright.core.task import Task
from kernelwright.judge import sight, timing
from kernelwright.judge.examinee import Examinee
from kernelwright.judge.judge import IsolatedJudge, open_judge

pytestmark = pytest.mark.cpu

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
    return [torch.randn(1024, 384)]

def get_init_inputs():
    return [384]
"""
COPY = REFERENCE.replace("class Model", "class ModelNew").partition("def get_inputs")[0]
BENCH = "bench = next(o for o in torch.sys.modules['gc'].get_objects() if type(o).__name__ == 'Workbench')"


def forward(*lines: str) -> str:
    """The copy with another body of forward."""
    body = "\n".join(f"        {line}" for line in lines)
    return COPY.replace("        return torch.relu(self.linear(x)) + x", body)


LATE = forward(
    BENCH,
    "import threading, time",
    "if not hasattr(self, 'threads'):",
    "    self.threads = []",
    "    plain = bench.fetch",
    "    def fetch(request):",
    "        while self.threads: self.threads.pop().join()",
    "        plain(request)",
    "    bench.fetch = fetch",
    "out = torch.empty(1024, 384)",
    "def compute():",
    "    time.sleep(0.005)",
    "    out.copy_(torch.relu(self.linear(x)) + x)",
    "self.threads.append(threading.Thread(target=compute))",
    "self.threads[-1].start()",
    "return out",
).replace("import threading, time", "threading, time = torch.sys.modules['threading'], torch.sys.modules['time']")

BURNS = forward(
    "if not hasattr(self, 'thread'):",
    "    burn = torch.randn(500, 500)",
    "    def work():",
    "        while True: burn @ burn",
    "    self.thread = torch.sys.modules['threading'].Thread(target=work, daemon=True)",
    "    self.thread.start()",
    "return torch.relu(self.linear(x)) + x",
)

FORKS = forward(
    "if not hasattr(self, 'child'):",
    "    self.child = torch.os.fork()",
    "    while not self.child: torch.os.read(0, 1) or torch.sys.modules['time'].sleep(0.1)",
    "return torch.relu(self.linear(x)) + x",
)

ELSEWHERE = forward(
    BENCH,
    "plain = type(bench).run",
    "bench.run = lambda count: {**plain(bench, count), 'at': [[[16, 384, 1]]] * count}",
    "return torch.relu(self.linear(x)) + x",
)

NOWHERE = forward(
    BENCH,
    "plain = type(bench).run",
    "bench.run = lambda count: {**plain(bench, count), 'at': [[[-1, 'x']]] * count}",
    "return torch.relu(self.linear(x)) + x",
)

REFUSED = {
    "outputs computed after the answer": (LATE, "changed after the call had returned"),
    "a thread that works beside": (BURNS, "cores while it is timed; it was given 1 thread(s)"),
    "a process that works beside": (FORKS, "has 1 process(es) of its own while it is timed"),
    "outputs at an address that is none": (ELSEWHERE, "has no output 0 of call"),
    "outputs at no address": (NOWHERE, "says that an output is at"),
}


@pytest.fixture(scope="module")
def judge() -> Iterator[IsolatedJudge]:
    task = Task(REFERENCE, (), Target("cpu", "any", "any"))
    with open_judge(task, baselines=("eager",), threads=1, seconds=0.5) as opened:
        yield opened


def examined(judge: IsolatedJudge, source: str) -> Rejected | Accepted:
    return judge.examine(Candidate("task", source, Handmade("test")))


@pytest.mark.parametrize("name", REFUSED)
def test_work_outside_of_the_clock_is_refused(judge: IsolatedJudge, name: str) -> None:
    source, reason = REFUSED[name]
    outcome = examined(judge, source)
    assert isinstance(outcome, Rejected), verdict(outcome.timing, 1.03)
    assert (outcome.stage, reason in outcome.reason) == ("time", True), outcome


def test_an_accepted_candidate_has_its_peak_memory_and_its_floor(judge: IsolatedJudge) -> None:
    outcome = examined(judge, forward("wide = x.repeat(1, 40)", "return torch.relu(self.linear(x)) + wide[:, :384]"))
    assert isinstance(outcome, Accepted), outcome
    assert outcome.memory
    assert outcome.memory.candidate > 40 * 1024 * 384 * 4 > outcome.memory.baseline > 0
    assert 0 < outcome.timing.floor_ns < min(outcome.timing.candidate_ns)


def test_what_is_faster_than_its_output_can_be_written_is_impossible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernelwright.judge.footprint.MARGIN", 1e-6)
    with open_judge(Task(REFERENCE, (), Target("cpu", "any", "any")), baselines=("eager",), seconds=0.1) as judge:
        outcome = examined(judge, COPY)
    assert isinstance(outcome, Rejected) and outcome.reason.startswith("impossible: "), outcome


LONG = REFERENCE.replace("return torch", "for _ in range(25): y = torch.tanh(self.linear(x))\n        return torch")


@pytest.mark.parametrize(("name", "strict"), [(COPY, True), (LONG.replace("class Model", "class ModelNew"), False)])
def test_a_speed_up_above_ten_is_timed_again_on_new_draws(name: str, strict: bool) -> None:
    with open_judge(Task(LONG, (), Target("cpu", "any", "any")), baselines=("eager",), threads=1, seconds=0.5) as judge:
        outcome = examined(judge, name)
    assert isinstance(outcome, Accepted), outcome
    assert outcome.timing.strict == strict
    assert len(outcome.timing.candidate_ns) == timing.STRICT_PAIRS or not strict


SHORT = """
import torch
from torch import nn

class Model(nn.Module):
    def forward(self, x):
        for _ in range(40):
            x = x + 1
        return x

def get_inputs():
    return [torch.randn(16, 16)]
"""
SHORT_COPY = SHORT.replace("class Model", "class ModelNew").partition("def get_inputs")[0]
AHEAD = """
import torch
from torch import nn

class ModelNew(nn.Module):
    def forward(self, x):
        frame = torch.sys._getframe()
        while "count" not in frame.f_locals:
            frame = frame.f_back
        calls = frame.f_locals["self"].calls[:frame.f_locals["count"]]
        if x is calls[0][0]:
            together = torch.stack([call[0] for call in calls])
            for _ in range(40):
                together = together + 1
            self.ready = iter([one.clone() for one in together])
        return next(self.ready)
"""


def test_work_that_is_done_for_later_calls_is_refused_and_a_kernel_that_saves_as_much_is_not() -> None:
    task = Task(SHORT, (), Target("cpu", "any", "any"))
    with open_judge(task, baselines=("eager",), threads=1, seconds=0.5) as judge:
        early = examined(judge, AHEAD)
        honest = examined(judge, SHORT_COPY.replace("for _ in range(40):\n            x = x + 1", "x = x + 40"))
    assert isinstance(early, Rejected) and "done early" in early.reason, early
    assert isinstance(honest, Accepted) and verdict(honest.timing, 1.03) == "FASTER", honest


def test_where_nobody_may_look_handing_over_is_timed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sight, "_may_read", lambda pid: False)
    handed: list[int] = []
    plain = Examinee.outputs
    with open_judge(Task(REFERENCE, (), Target("cpu", "any", "any")), baselines=("eager",), seconds=0.1) as judge:
        monkeypatch.setattr(Examinee, "outputs", lambda self, count=1: handed.append(count) or plain(self, count))
        assert isinstance(examined(judge, COPY), Accepted)
    assert len(handed) > 4 * timing.FEWEST  # twice a lap, and two laps a pair: once on the clock, once to be compared
