"""The judge on real processes: what it accepts, what it refuses and why, and that nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernelwright.core.candidate import Candidate, Handmade
from kernelwright.core.outcome import Accepted, Outcome, Rejected, Screened
from kernelwright.core.spec import Target
from kernelwright.core.stats import verdict
from kernelwright.core.task import Task
from kernelwright.judge import timing
from kernelwright.judge.examinee import Patience
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
    return [torch.randn(256, 96)]

def get_init_inputs():
    return [96]
"""
TASK = Task(REFERENCE, (), Target("cpu", "avx2", "any"))
COPY = REFERENCE.replace("class Model", "class ModelNew").partition("def get_inputs")[0]


def forward(*lines: str) -> str:
    """The copy with another body of forward."""
    body = "\n".join(f"        {line}" for line in lines)
    return COPY.replace("        return torch.relu(self.linear(x)) + x", body)


def candidate(source: str) -> Candidate:
    return Candidate("task", source, Handmade("test"))


@pytest.fixture(scope="module")
def judge() -> Iterator[IsolatedJudge]:
    patience = Patience(build=20.0, call=3.0)
    with open_judge(TASK, baselines=("eager",), threads=1, patience=patience, seconds=1.0) as opened:
        yield opened


def screened(judge: IsolatedJudge, source: str) -> Outcome:
    (outcome,) = judge.screen((candidate(source),))
    return outcome


HONEST = {
    "a copy": COPY,
    "another order": forward("return (x.unsqueeze(1) * self.linear.weight).sum(-1).add(self.linear.bias).relu() + x"),
    "packed weights that follow": forward(
        "weight = self.linear.weight",
        "if getattr(self, 'version', None) != weight._version:",
        "    self.packed, self.version = weight.t().contiguous(), weight._version",
        "return torch.relu(x @ self.packed + self.linear.bias) + x",
    ),
    "an output that is not contiguous": forward("return (torch.relu(self.linear(x)) + x).t().contiguous().t()"),
    "noise on stdout": forward("print('{\"answers\": 1}' * 1000)", "return torch.relu(self.linear(x)) + x"),
}

WRONG = {
    "a wrong value": (
        forward("return torch.relu(self.linear(x)) + x * 1.001"),
        'family "plain", case 1 of 16, output 0, at [',
    ),
    "one zeroed row": (
        forward("out = torch.relu(self.linear(x)) + x", "out[77] = 0", "return out"),
        'family "plain", case 1 of 16, output 0, at [77, ',
    ),
    "another shape": (forward("return self.linear(x)[:-1]"), "has shape [255, 96], expected [256, 96]"),
    "another dtype": (forward("return (torch.relu(self.linear(x)) + x).double()"), "float64, expected float32"),
    "an extra output": (forward("y = torch.relu(self.linear(x)) + x", "return y, y"), "is a tuple, expected a Tensor"),
    "a subclass": (forward("return nn.Parameter(torch.relu(self.linear(x)) + x)"), "is a Parameter, expected a Tensor"),
    "memory never written": (forward("return torch.empty(256, 96)"), 'family "plain", case 1 of 16, output 0'),
    "a sum into memory never cleared": (
        forward("out = torch.empty(256, 96)", "return out.add_(torch.relu(self.linear(x))).add_(x)"),
        'family "plain", case 1 of 16, output 0',
    ),
    "an input overwritten": (
        forward("y = torch.relu(self.linear(x)) + x", "x.zero_()", "return y"),
        "input 0 was overwritten",
    ),
    "the input handed back": (
        forward("return x.copy_(torch.relu(self.linear(x)) + x)"),
        "shares memory with input 0",
    ),
    "weights remembered": (
        forward(
            "if not hasattr(self, 'packed'):",
            "    self.packed = self.linear.weight.t().clone()",
            "return torch.relu(x @ self.packed + self.linear.bias) + x",
        ),
        'family "scaled 0.01", case 4 of 16, output 0',
    ),
    "weights remembered until they are loaded": (
        forward(
            "if not hasattr(self, 'packed'):",
            "    self.packed = self.linear.weight.t().clone()",
            "return torch.relu(x @ self.packed + self.linear.bias) + x",
            "",
        )
        + "\n    def _load_from_state_dict(self, *args):\n        self.__dict__.pop('packed', None)\n"
        "        super()._load_from_state_dict(*args)\n",
        'family "shifted", case 10 of 16, output 0',
    ),
    "one static output": (
        forward(
            "if not hasattr(self, 'out'):",
            "    self.out = torch.empty(256, 96)",
            "return self.out.copy_(torch.relu(self.linear(x)) + x)",
        ),
        "memory is reused",
    ),
    "the memory that weights came in overwritten": (
        forward(
            "frame = torch.sys._getframe()",
            "while 'workbench' not in frame.f_locals: frame = frame.f_back",
            "frame.f_locals['workbench'].arenas['state'].data[:8] = 0",
            "return torch.relu(self.linear(x)) + x",
        ),
        "memory of the weights was overwritten",
    ),
    "memory before the outputs overwritten": (
        forward(
            "worker = torch.sys.modules['kernelwright.judge.worker']",
            "def copy(leaf, slot, data):",
            "    slot.view(data).copy_(leaf)",
            "    data[slot.offset - 1] = 0",
            "worker.copy = copy",
            "return torch.relu(self.linear(x)) + x",
        ),
        "wrote beside the memory for its outputs",
    ),
    "a weight changed": (
        forward("y = torch.relu(self.linear(x)) + x", "self.linear.bias.add_(1e-3)", "return y"),
        "state 'linear.bias' is not what was given",
    ),
    "two answers in turn": (
        forward(
            "self.sign = -getattr(self, 'sign', 1)",
            "return (torch.relu(self.linear(x)) + x) * (1 + 4e-6 * self.sign)",
        ),
        "second run on the same bytes",
    ),
    "an exception": (forward("raise KeyError('later')"), "KeyError: 'later'"),
    "a crash": (forward("torch.os.abort()"), "the process died of SIGABRT"),
    "a quiet exit": (forward("torch.os._exit(0)"), "the process exited with status 0"),
    "no end": (forward("while True: pass"), "did not return within 3 s"),
    "a forged answer": (
        forward(
            "for fd in range(3, 64):",
            "    try: torch.os.write(fd, b'\\0' * 7 + b'\\x0b' + b'{\"done\": 1}')",
            "    except OSError: pass",
            "return torch.empty(256, 96)",
        ),
        "gave an answer that nobody asked for",
    ),
    "garbage on the socket": (
        forward(
            "for fd in range(3, 64):",
            "    try: torch.os.write(fd, b'x' * 100)",
            "    except OSError: pass",
            "return torch.empty(256, 96)",
        ),
        "wrote to the judge's socket",
    ),
}

UNBUILT = {
    "an exception at import": (COPY + "\nraise KeyError('early')", "KeyError: 'early'"),
    "an exit at import": (COPY + "\nraise SystemExit(0)", "SystemExit: 0"),
    "a quiet exit at import": (COPY + "\ntorch.os._exit(0)", "the process exited with status 0"),
    "another signature": (COPY.replace("self, width", "self"), "TypeError"),
    "a missing parameter": (COPY.replace("nn.Linear(width, width)", "nn.Linear(width, width, bias=False)"), "absent"),
    "another parameter's shape": (COPY.replace("nn.Linear(width, width)", "nn.Linear(width, 8)"), "is [[8, 96], "),
    "another parameter's dtype": (COPY.replace("(width, width)", "(width, width).double()"), "float64"),
}

UNREAD = {
    "no Python": ("class ModelNew(:", "line 1: not Python"),
    "no ModelNew": ("import torch", "no class ModelNew"),
    "a forbidden import": ("import socket\n" + COPY, "imports socket"),
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_candidate_is_accepted(judge: IsolatedJudge, name: str) -> None:
    outcome = judge.examine(candidate(HONEST[name]))
    assert isinstance(outcome, Accepted), outcome
    assert len(outcome.timing.candidate_ns) >= 6
    assert outcome.accuracy.oracle == "float64"


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_candidate_is_refused_with_its_reason(judge: IsolatedJudge, name: str) -> None:
    source, reason = WRONG[name]
    outcome = judge.examine(candidate(source))
    assert isinstance(outcome, Rejected), outcome
    assert (outcome.stage, reason in outcome.reason) == ("verify", True), outcome


@pytest.mark.parametrize("name", UNBUILT)
def test_a_candidate_that_cannot_be_built_is_refused(judge: IsolatedJudge, name: str) -> None:
    source, reason = UNBUILT[name]
    outcome = screened(judge, source)
    assert isinstance(outcome, Rejected), outcome
    assert (outcome.stage, reason in outcome.reason) == ("build", True), outcome


@pytest.mark.parametrize("name", UNREAD)
def test_a_candidate_is_read_before_it_runs(judge: IsolatedJudge, name: str) -> None:
    source, reason = UNREAD[name]
    outcome = screened(judge, source)
    assert isinstance(outcome, Rejected), outcome
    assert (outcome.stage, reason in outcome.reason) == ("audit", True), outcome


def test_screening_answers_in_order_and_goes_on_after_a_crash(judge: IsolatedJudge) -> None:
    sources = (WRONG["a crash"][0], COPY, UNREAD["no Python"][0], COPY, UNBUILT["an exit at import"][0])
    outcomes = list(judge.screen(tuple(map(candidate, sources))))
    assert [type(outcome) for outcome in outcomes] == [Rejected, Screened, Rejected, Screened, Rejected]


def test_a_copy_is_not_faster_and_a_dawdler_is_slower(judge: IsolatedJudge) -> None:
    same = judge.examine(candidate(COPY))
    slow = judge.examine(candidate(forward("for _ in range(9): y = torch.relu(self.linear(x)) + x", "return y")))
    assert isinstance(same, Accepted) and verdict(same.timing, 1.03) != "FASTER"
    assert isinstance(slow, Accepted) and verdict(slow.timing, 1.03) == "SLOWER"


def test_a_small_gain_is_timed_again_in_new_processes(judge: IsolatedJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "doubtful", lambda pairs, gain: True)
    outcome = judge.examine(candidate(COPY))
    assert isinstance(outcome, Accepted)
    first = len(outcome.timing.baseline_ns) // (1 + timing.CONFIRMATIONS["eager"])
    assert first >= timing.FEWEST


def test_what_a_candidate_prints_is_kept_as_detail(judge: IsolatedJudge) -> None:
    outcome = screened(judge, forward("print('ACCEPTED', flush=True)", "torch.os.abort()"))
    assert isinstance(outcome, Rejected)
    assert "ACCEPTED" in outcome.detail


COMPILED = '''
import torch
from torch import nn
from kernelwright.runtime import cpp, empty

kernels = cpp(r"""
extern "C" void tail(const float* linear, const float* x, float* out) {
    for (long i = 0; i < 256 * 96; i++) out[i] = (linear[i] > 0 ? linear[i] : 0) + x[i];
}
""")

class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        out = empty((256, 96), torch.float32)
        kernels.tail(self.linear(x), x, out)
        return out
'''


def test_a_kernel_in_cpp_is_accepted(judge: IsolatedJudge) -> None:
    outcome = judge.examine(candidate(COMPILED))
    assert isinstance(outcome, Accepted), outcome


def test_a_kernel_in_cpp_that_does_not_compile_is_refused_with_the_compilers_words(judge: IsolatedJudge) -> None:
    outcome = screened(judge, COMPILED.replace("out[i] =", "out[j] ="))
    assert isinstance(outcome, Rejected)
    assert outcome.stage == "build" and "BuildFailed" in outcome.reason
    assert "error:" in outcome.detail and "j" in outcome.detail


def test_a_kernel_in_cpp_that_skips_the_last_elements_is_refused(judge: IsolatedJudge) -> None:
    outcome = screened(judge, COMPILED.replace("i < 256 * 96", "i < 256 * 96 - 5"))
    assert isinstance(outcome, Rejected)
    assert 'family "plain", case 1 of 16, output 0, at [255, 91]' in outcome.reason
