"""What the judge must hold to on any target: the same questions to each of tests/conformance/kinds.py.

That file says how a new target plugs in. A target that is not here is skipped with the reason. Candidates are plain
PyTorch and device-neutral, but for one kernel in the target's own language.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernelwright import targets
from kernelwright.capture import source
from kernelwright.core.candidate import Candidate, Handmade
from kernelwright.core.codec import digest
from kernelwright.core.errors import MachineError
from kernelwright.core.outcome import Accepted, Rejected, Screened
from kernelwright.core.stats import verdict
from kernelwright.core.task import Task
from kernelwright.judge.certificate import check_text, issue, read, write
from kernelwright.judge.examinee import Patience
from kernelwright.judge.judge import IsolatedJudge, open_judge
from kernelwright.judge.replay import replay
from tests.conformance.kinds import COUNT, KINDS, Kind

PLAIN = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.linear(x)) + x

def get_inputs():
    return [torch.randn(256, 96)]

def get_init_inputs():
    return [96]
"""

WHOLE = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(48)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x, i, h, n):
        self.calls += 1
        return {"normed": self.norm(x), "picked": [i * n, x.argmax(-1)], "half": torch.softmax(h, -1)}

def get_inputs():
    return [torch.randn(64, 48), torch.randint(0, 9, (64,)), torch.randn(64, 40).bfloat16(), 3]
"""
GAIN = 1.03


def copy_of(reference: str, old: str = "", new: str = "") -> str:
    """The reference as a candidate, with one part of it replaced."""
    assert old in reference, f"no {old!r} to replace"
    return reference.partition("def get_inputs")[0].replace("class Model(", "class ModelNew(").replace(old, new)


def forward(*lines: str) -> str:
    """A copy of PLAIN with another body of forward."""
    body = "\n".join(f"        {line}" for line in lines)
    return copy_of(PLAIN, "        return torch.relu(self.linear(x)) + x", body)


def right(*lines: str) -> str:
    """A copy of PLAIN that does something else besides."""
    return forward("y = torch.relu(self.linear(x)) + x", *lines)


def with_kernel(text: str) -> str:
    return forward("return tail(self.linear(x), x)").replace("class ModelNew", f"{text}\nclass ModelNew")


def task(kind: Kind, reference: str) -> Task:
    try:
        target = targets.detect(kind.device)
    except MachineError as error:
        pytest.skip(str(error))
    inputs = source.draw_inputs(source.load(reference), seed=0)
    return Task(reference, tuple(map(source.spec_of, inputs)), target)


def candidate(asked: Task, text: str) -> Candidate:
    return Candidate(digest(asked), text, Handmade("test"))


def opened(kind: Kind, reference: str, master: bytes | None = None) -> IsolatedJudge:
    patience = Patience(build=60.0, call=kind.patience)
    return open_judge(
        task(kind, reference),
        baselines=("eager",),
        threads=1,
        patience=patience,
        seconds=0.3,
        variables={"PATH": os.defpath},
        master=master,
    )


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture(scope="module")
def judge(kind: Kind) -> Iterator[IsolatedJudge]:
    with opened(kind, PLAIN) as judge:
        yield judge


@pytest.fixture(scope="module")
def whole(kind: Kind) -> Iterator[IsolatedJudge]:
    with opened(kind, WHOLE) as judge:
        yield judge


def examined(judge: IsolatedJudge, text: str) -> Rejected | Accepted:
    return judge.examine(Candidate("task", text, Handmade("test")))


# Right


def test_an_honest_copy_is_accepted_and_never_faster(judge: IsolatedJudge) -> None:
    outcome = examined(judge, copy_of(PLAIN))
    assert isinstance(outcome, Accepted), outcome
    assert verdict(outcome.timing, GAIN) != "FASTER"


def test_a_kernel_in_the_target_s_own_language_is_accepted(judge: IsolatedJudge, kind: Kind) -> None:
    outcome = examined(judge, with_kernel(kind.written()))
    assert isinstance(outcome, Accepted), outcome


def test_a_kernel_that_writes_all_but_the_last_elements_is_refused(judge: IsolatedJudge, kind: Kind) -> None:
    outcome = examined(judge, with_kernel(kind.written(COUNT - 5)))
    assert isinstance(outcome, Rejected) and outcome.stage == "verify", outcome
    assert "output 0, at [255, " in outcome.reason


def test_what_does_the_work_twenty_times_is_slower(judge: IsolatedJudge) -> None:
    outcome = examined(judge, right("for _ in range(19): y = torch.relu(self.linear(x)) + x", "return y"))
    assert isinstance(outcome, Accepted), outcome
    assert verdict(outcome.timing, GAIN) == "SLOWER"


# Wrong


REFUSED = {
    "one element wrong": (right("y[77, 5] += 0.01", "return y"), "at [77, 5]"),
    "one row zeroed": (right("y[77] = 0", "return y"), "at [77, "),
    "one element NaN": (right("y[3, 4] = float('nan')", "return y"), "at [3, 4]: got nan"),
    "memory never written": (forward("return torch.empty_like(x)"), "output 0, at ["),
    "a sum into memory never cleared": (
        forward("return torch.empty_like(x).add_(torch.relu(self.linear(x))).add_(x)"),
        "output 0, at [",
    ),
    "the answer before": (
        right("last, self.last = getattr(self, 'last', y), y.clone()", "return last.clone()"),
        "output 0, at [",
    ),
    "an input overwritten": (right("x.zero_()", "return y"), "input 0 was overwritten"),
    "the input handed back": (right("return x.copy_(y)"), "shares memory with input 0"),
    "a view of the input": (right("return x.view(-1).view(256, 96)"), "shares memory with input 0"),
    "one static output": (
        right("if not hasattr(self, 'out'): self.out = torch.empty_like(y)", "return self.out.copy_(y)"),
        "memory is reused",
    ),
    "weights remembered": (
        forward(
            "if not hasattr(self, 'packed'): self.packed = self.linear.weight.t().clone()",
            "return torch.relu(x @ self.packed + self.linear.bias) + x",
        ),
        "output 0, at [",
    ),
    "a weight changed": (right("self.linear.bias.add_(1e-3)", "return y"), "state 'linear.bias'"),
    "another shape": (right("return y[:-1]"), "has shape [255, 96], expected [256, 96]"),
    "another dtype": (right("return y.double().half()"), "float16, expected float32"),
    "another device": (right("return y.to('meta')"), "device"),
    "another structure": (right("return (y,)"), "is a tuple, expected a Tensor"),
    "an output that computes when it is looked at": (
        right("return y.as_subclass(Late)").replace(
            "class ModelNew",
            "class Late(torch.Tensor):\n    def numpy(self): return torch.relu(self)\n\nclass ModelNew",
        ),
        "is a Late, expected a Tensor",
    ),
    "an output that a thread fills later": (
        forward(
            "out, now = torch.empty_like(x), x.clone()",
            "def late():",
            "    torch.sys.modules['time'].sleep(0.3)",
            "    out.copy_(torch.relu(self.linear(now)) + now)",
            "torch.sys.modules['threading'].Thread(target=late).start()",
            "return out",
        ),
        "output 0, at [",
    ),
    "an exception": (forward("raise KeyError('late')"), "KeyError: 'late'"),
    "a crash": (forward("torch.os.abort()"), "the process died of SIGABRT"),
    "a quiet exit": (forward("torch.os._exit(0)"), "the process exited with status 0"),
    "no end": (forward("while True: pass"), "did not return within"),
}

UNBUILT = {
    "an exit at import": (copy_of(PLAIN) + "\nraise SystemExit(0)", "build", "SystemExit"),
    "other parameter names": (copy_of(PLAIN).replace("self.linear", "self.fc"), "build", "'fc.weight', 'fc.bias' inst"),
    "another parameter's shape": (copy_of(PLAIN, "(width, width)", "(width, 8)"), "build", "linear.weight"),
    "another constructor": (copy_of(PLAIN, "self, width", "self"), "build", "TypeError"),
    "no ModelNew": ("import torch", "audit", "no class ModelNew"),
    "a forbidden import": ("import socket\n" + copy_of(PLAIN), "audit", "imports socket"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_candidate_is_refused_by_verify_with_its_reason(judge: IsolatedJudge, name: str) -> None:
    text, reason = REFUSED[name]
    outcome = judge.check(Candidate("task", text, Handmade("test")))
    assert isinstance(outcome, Rejected), outcome
    assert (outcome.stage, reason in outcome.reason) == ("verify", True), outcome


@pytest.mark.parametrize("name", UNBUILT)
def test_what_cannot_be_built_is_refused_before(judge: IsolatedJudge, name: str) -> None:
    text, stage, reason = UNBUILT[name]
    outcome = judge.check(Candidate("task", text, Handmade("test")))
    assert isinstance(outcome, Rejected), outcome
    assert (outcome.stage, reason in outcome.reason) == (stage, True), outcome


def test_a_write_out_of_all_memory_is_refused_and_the_next_candidate_judged(judge: IsolatedJudge, kind: Kind) -> None:
    if not kind.far:
        pytest.skip(f"{kind.device} lets such a write fall to nothing")
    texts = (
        with_kernel(kind.written(shift=kind.far)),
        copy_of(PLAIN),
        REFUSED["a crash"][0],
        with_kernel(kind.written()),
    )
    outcomes = list(judge.screen([Candidate("task", text, Handmade("test")) for text in texts]))
    assert [type(outcome) for outcome in outcomes] == [Rejected, Screened, Rejected, Screened], outcomes


# State, several outputs, integers, half precision


def test_a_copy_with_state_and_a_nest_of_outputs_is_accepted(whole: IsolatedJudge) -> None:
    outcome = examined(whole, copy_of(WHOLE))
    assert isinstance(outcome, Accepted), outcome
    assert {one.output for one in outcome.accuracy.families} >= {0, 1, 2, 3}


PARTLY = {
    "running statistics forgotten": (
        "self.norm(x)",
        "nn.functional.batch_norm(x, None, None, self.norm.weight, self.norm.bias, True)",
        "state 'norm.",
    ),
    "a counter forgotten": ("self.calls += 1", "pass", "state 'calls'"),
    "a counter that skips": ("self.calls += 1", "self.calls += 2", "state 'calls'"),
    "an integer off by one": ("i * n", "i * n + (i == 3)", "output 1, at ["),
    "a number remembered": ("i * n", "i * 2", "output 1, at ["),
    "the least instead of the greatest": ("x.argmax(-1)", "x.argmin(-1)", "output 2, at ["),
    "integers as another dtype": ("i * n", "(i * n).int()", "has dtype int32, expected int64"),
    "halves of a coarser kind": ("torch.softmax(h, -1)", "(torch.softmax(h, -1) * 8).round() / 8", "output 3, at ["),
    "a tuple for a list": ("[i * n, x.argmax(-1)]", "(i * n, x.argmax(-1))", "is a tuple, expected a list"),
    "two names exchanged": ('"normed": self.norm(x), ', "", "has keys"),
}


@pytest.mark.parametrize("name", PARTLY)
def test_a_candidate_that_is_right_in_part_is_refused(whole: IsolatedJudge, name: str) -> None:
    old, new, reason = PARTLY[name]
    outcome = whole.check(Candidate("task", copy_of(WHOLE, old, new), Handmade("test")))
    assert isinstance(outcome, Rejected), outcome
    assert (outcome.stage, reason in outcome.reason) == ("verify", True), outcome


# Certificates, and what is left behind


def test_a_certificate_is_replayed_and_nothing_is_left_behind(
    judge: IsolatedJudge, kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = task(kind, PLAIN)

    def certified(text: str) -> str:
        one = candidate(asked, text)
        found = {"baselines": judge.baselines(), "master": judge.master, "now": datetime.now(UTC)}
        return write(issue(asked, one, judge.examine(one), judge.environment, **found))

    @contextmanager
    def judging(master: bytes | None) -> Iterator[IsolatedJudge]:
        if master is None:
            yield judge
        else:
            yield again

    papers = [read(certified(text)) for text in (copy_of(PLAIN), REFUSED["one row zeroed"][0])]
    before = children()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with opened(kind, PLAIN, judge.master) as again:
        findings = [
            one for paper in papers for one in (*check_text(paper), *replay(paper.certificate, judging, timed=False))
        ]
        assert any(tmp_path.iterdir())
    assert [one for one in findings if one.answer != "holds"] == []
    assert "bitwise" in next(one.told for one in findings if one.question == "same errors")
    assert list(tmp_path.iterdir()) == []
    assert gone(children() - before)


def children() -> set[int]:
    """Processes that this one has started and that are alive."""
    listing = Path(f"/proc/self/task/{os.getpid()}/children")
    return {int(pid) for pid in listing.read_text().split()} if listing.exists() else set()


def gone(pids: set[int]) -> bool:
    deadline = time.monotonic() + 5.0
    while pids & children() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not pids & children()
