"""The judge on tasks of other kinds: changing state, chance, integers, nests of outputs, tasks that tell nothing."""

from __future__ import annotations

import pytest

from kernelwright.core.candidate import Candidate, Handmade
from kernelwright.core.errors import UsageError
from kernelwright.core.outcome import Accepted, Baselines, Rejected
from kernelwright.core.spec import Target
from kernelwright.core.task import Contract, Task
from kernelwright.judge.judge import open_judge

pytestmark = pytest.mark.cpu

CONTRACT = Contract()

HEAD = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"


def reference(forward: str, inputs: str = "torch.randn(64, 48)", init: str = "pass") -> str:
    return (
        f"{HEAD}class Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n        {init}\n"
        f"    def forward(self, x):\n        {forward}\n"
        f"def get_inputs():\n    return [{inputs}]\n"
    )


def as_candidate(source: str) -> Candidate:
    return Candidate("task", source.replace("class Model(", "class ModelNew("), Handmade("test"))


def judged(text: str, source: str, contract: Contract = CONTRACT) -> tuple[Baselines, Rejected | Accepted]:
    task = Task(text, (), Target("cpu", "any", "any"), contract)
    with open_judge(task, baselines=("eager",), threads=1, seconds=0.2) as judge:
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


IN_PLACE = {
    "a copy": ("return x.relu_()", "return x.relu_()", ""),
    "written to at the end": ("return x.relu_()", "return x.copy_(x.relu())", ""),
    "left alone": ("return x.relu_()", "return x.relu()", "is new memory; the reference's shares it with input 0"),
    "new memory handed back": ("return x.relu_()", "return x.relu_().clone()", "is new memory"),
    "another result": ("return x.add_(1).sum(1)", "return x.add(1).sum(1)", "case 1 of 16, input 0, at ["),
    "its result alone": ("return x.add_(1).sum(1)", "x.add_(1); return x.sum(1)", ""),
    "a guard of one element": (
        "return x.add_(1).sum(1)",
        "x.add_(1); x.as_strided((1,), (1,), x.storage_offset() + x.numel()).zero_(); return x.sum(1)",
        "memory beside an input was overwritten",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_PLACE)
def test_what_a_reference_writes_to_its_inputs_is_part_of_the_answer(name: str) -> None:
    forward, candidate, reason = IN_PLACE[name]
    baselines, outcome = judged(reference(forward), reference(candidate))
    assert not baselines.degenerate
    assert reason in outcome.reason if isinstance(outcome, Rejected) else not reason, outcome


TIES = {
    "the last of equal ones": ("return x.argmax(-1)", "return 47 - x.flip(-1).argmax(-1)", ""),
    "any that is near": ("return x.argmax(-1)", "return x.bfloat16().argmax(-1)", "output 0, at ["),
    "a sort that is not stable": (
        "return x.sort(-1)",
        "v, i = x.flip(-1).sort(-1, stable=True); return torch.return_types.sort((v, 47 - i))",
        "",
    ),
    "one position twice": (
        "return x.topk(2).indices",
        "i = x.topk(2).indices; v = x.gather(1, i); return torch.where(v == v[:, :1], i[:, :1], i)",
        'family "ties"',
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TIES)
def test_ties_are_told_by_value(name: str) -> None:
    forward, candidate, reason = TIES[name]
    _, outcome = judged(reference(forward), reference(candidate))
    assert reason in outcome.reason if isinstance(outcome, Rejected) else not reason, outcome


DISTRIBUTIONS = {
    "never negative": ("torch.rand(64, 48)", "return x.abs().sqrt()", "return x.sqrt()", 'family "negated"'),
    "large enough": ("torch.randn(64, 48)", "return x", "return torch.where(x.abs() < 1e-7, 0, x)", ""),
    "of one scale": (
        "torch.randn(64, 48)", "return x.softmax(-1)", "return x.exp() / x.exp().sum(-1, keepdim=True)",
        'family "scaled 64"',
    ),
    "all rows alike": (
        "torch.rand(64, 480)", "return x.sum(-1)", "return x[:, ::2].sum(-1) * x[0].sum() / x[0, ::2].sum()",
        'family "plain"',
    ),
    "without ties": (
        "torch.randn(64, 48)", "return (x == x.amax(-1, keepdim=True)).float()",
        "return F.one_hot(x.argmax(-1), 48).float()", 'family "ties"',
    ),
    "without order": (
        "torch.randn(64, 48)", "return x.cummax(-1).values",
        "return torch.where(x[:, -1:] < x.amax(-1, keepdim=True), x.cummax(-1).values, 0)", 'family',
    ),
    "on a boundary of 64 bytes": (
        "torch.randn(64, 48)", "return x * 2", "return x * 2 if x.data_ptr() % 64 == 0 else x * 3",
        'family "offset storage"',
    ),
    "by three elements": (
        "torch.randn(64, 48)", "return x * 2",
        "f = (float(x[0, 0]), float(x[5, 5]), float(x[-1, -1]), float(x[9, 9]))\n"
        "        if getattr(self, 'f', 0) != f: self.f, self.y = f, x * 2\n        return self.y.clone()",
        'family "one perturbed element"',
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_candidate_that_counts_on_one_distribution_is_refused(name: str) -> None:
    inputs, forward, candidate, reason = DISTRIBUTIONS[name]
    _, outcome = judged(reference(forward, inputs), reference(candidate, inputs))
    assert reason in outcome.reason if isinstance(outcome, Rejected) else not reason, outcome


def test_values_that_a_generator_would_hardly_draw_are_reported_and_bind_where_the_contract_says_so() -> None:
    cancels = "(x[:, :24] + x[:, 24:]).abs().amax(-1) < x.abs().amax(-1) / 100"
    text, shaky = reference("return x.sum(-1)"), reference(f"return torch.where({cancels}, 2, 1) * x.sum(-1)")
    _, outcome = judged(text, shaky)
    assert isinstance(outcome, Accepted), outcome
    assert [told.family for told in outcome.accuracy.families if told.error > told.allowed] == ["cancellation"]
    _, outcome = judged(text, shaky, Contract(robustness="binding"))
    assert isinstance(outcome, Rejected) and 'family "cancellation"' in outcome.reason


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
