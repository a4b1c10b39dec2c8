"""The judge on tasks of other kinds: changing state, chance, integers, nests of outputs, tasks that tell nothing."""

from __future__ import annotations

import pytest

from kernelwright.core.candidate import Candidate, Handmade
from kernelwright.core.errors import UsageError
from kernelwright.core.outcome import Accepted, Baselines, Rejected
from kernelwright.core.spec import Target
from kernelwright.core.task import Task
from kernelwright.judge.judge import open_judge

pytestmark = pytest.mark.cpu

HEAD = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"


def reference(forward: str, inputs: str = "torch.randn(64, 48)", init: str = "pass") -> str:
    return (
        f"{HEAD}class Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n        {init}\n"
        f"    def forward(self, x):\n        {forward}\n"
        f"def get_inputs():\n    return [{inputs}]\n"
    )


def as_candidate(source: str) -> Candidate:
    return Candidate("task", source.replace("class Model(", "class ModelNew("), Handmade("test"))


def judged(text: str, source: str) -> tuple[Baselines, Rejected | Accepted]:
    with open_judge(Task(text, (), Target("cpu", "any", "any")), baselines=("eager",), threads=1, seconds=0.2) as judge:
        return judge.baselines(), judge.examine(as_candidate(source))


ALIKE = {
    "batch norm in train mode": reference("return self.norm(x)", init="self.norm = nn.BatchNorm1d(48)"),
    "integers": reference("return x.argmax(-1), x > 0"),
    "a nest": reference("return {'a': x + 1, 'b': [x.sum(), (x * 2,)]}"),
    "an integer input": reference("return self.e(x)", "torch.randint(0, 9, (32,))", "self.e = nn.Embedding(9, 40)"),
    "one element a row": reference("return self.f(x).sum(1, keepdim=True)", init="self.f = nn.Linear(48, 64)"),
    "one number": reference("return F.mse_loss(x, x.flip(0))"),
    "the input itself": reference("return x.view(48, 64)"),
    "half precision": reference("return torch.softmax(x, -1)", "torch.randn(64, 48).bfloat16()"),
    "float64": reference("return x.sin()", "torch.randn(64, 48).double()"),
    "infinities": reference("return torch.log(x), torch.exp(8 * x)"),
    "a mask with infinities": reference(
        "return torch.softmax(x @ x.t() / 48 + self.mask, -1)",
        init="self.register_buffer('mask', torch.full((64, 64), -torch.inf).triu(1))",
    ),
    "tied weights": reference(
        "return self.b(self.a(x))", init="self.a = nn.Linear(48, 48); self.b = nn.Linear(48, 48)"
    ).replace("    def f", "        self.b.weight = self.a.weight\n    def f"),
    "a number among the inputs": reference("return x * 2", "torch.randn(64, 48)").replace(
        "x):", "x, n, y=None):").replace("x * 2", "x * n").replace("48)]", "48), 3]"),
    "a transposed input": reference("return x.cumsum(0)", "torch.randn(48, 64).t()"),
    "an empty output": reference("return x[:0], x + 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", ALIKE)
def test_a_copy_of_any_task_is_accepted(name: str) -> None:
    baselines, outcome = judged(ALIKE[name], ALIKE[name])
    assert isinstance(outcome, Accepted), outcome
    assert not baselines.degenerate


def test_running_statistics_are_part_of_the_answer() -> None:
    text = ALIKE["batch norm in train mode"]
    forgetful = text.replace("self.norm(x)", "F.batch_norm(x, None, None, self.norm.weight, self.norm.bias, True)")
    _, outcome = judged(text, forgetful)
    assert isinstance(outcome, Rejected)
    assert "state 'norm.running_mean'" in outcome.reason


def test_integers_are_exact() -> None:
    text = ALIKE["integers"]
    _, outcome = judged(text, text.replace("x > 0", "x > 1e-3"))
    assert isinstance(outcome, Rejected)
    assert "output 1, at [" in outcome.reason and "got False, expected True" in outcome.reason


def test_a_reference_of_chance_is_refused() -> None:
    text = reference("return F.dropout(x, 0.5)")
    baselines, outcome = judged(text, text)
    assert "the reference is random" in baselines.degenerate
    assert isinstance(outcome, Rejected) and "the reference is random" in outcome.reason


def test_a_reference_that_writes_to_its_input_is_refused() -> None:
    text = reference("return x.relu_()")
    baselines, outcome = judged(text, text)
    assert "the reference writes to its input 0" in baselines.degenerate
    assert isinstance(outcome, Rejected)


@pytest.mark.parametrize(
    ("forward", "reason"),
    [("return x * 0 + 1", "constant"), ("return torch.softmax(x.sum(1, keepdim=True), 1)", "constant"),
     ("return (x * 0).sum(1) + torch.arange(64)", "does not depend on the input")],
)  # fmt: skip
def test_a_degenerate_task_is_named(forward: str, reason: str) -> None:
    text = reference(forward)
    baselines, _ = judged(text, text)
    assert reason in baselines.degenerate


def test_a_reference_that_refuses_float64_is_judged_in_its_own_precision() -> None:
    text = reference("return F.linear(x, torch.ones(48, 48, dtype=torch.float32))")
    _, outcome = judged(text, text)
    assert isinstance(outcome, Accepted), outcome
    assert outcome.accuracy.oracle.startswith("the reference's own dtypes")


def test_a_family_that_the_reference_refuses_is_left_out() -> None:
    text = reference("return F.binary_cross_entropy(x, x.flip(0))", "torch.rand(64, 48)")
    _, outcome = judged(text, text)
    assert isinstance(outcome, Accepted), outcome
    assert {error.family for error in outcome.accuracy.families} >= {"plain", "scaled 0.01"}
    assert "negated" not in {error.family for error in outcome.accuracy.families}


def test_a_reference_that_fails_is_the_persons_mistake() -> None:
    text = reference("return x @ x")
    with pytest.raises(UsageError, match="the model fails on its own inputs"):
        judged(text, text)
