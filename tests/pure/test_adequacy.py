"""What a task can tell, found by wrong outputs of the judge's own making, without any worker."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest
import torch

from kernelwright.core.errors import UsageError
from kernelwright.core.outcome import Adequacy
from kernelwright.core.task import Contract
from kernelwright.judge.adequacy import assess, degenerate
from kernelwright.judge.answers import AnswerKey
from kernelwright.judge.inputs import Case
from kernelwright.judge.reductions import tf32
from kernelwright.judge.verify import Standard, measure

HEAD = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"


def key_of(forward: str, inputs: str = "torch.randn(64, 48)", init: str = "pass") -> AnswerKey:
    text = (
        f"{HEAD}class Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n        {init}\n"
        f"    def forward(self, x, y=None):\n        {forward}\n"
        f"def get_inputs():\n    return [{inputs}]\n"
    )
    return AnswerKey(text, Contract(), None, 1 << 30, "cpu", b"a test's own master secret")


def demands(key: AnswerKey) -> Iterator[tuple[Case, Standard]]:
    """What PyTorch in this process is held to."""
    first = key.cases[0]
    key.expect([value.dtype for value in key.plain.answer(key.inputs(first), key.states[0]).outputs])
    for case in key.cases:
        try:
            answer = key.answer(case)
        except UsageError:
            continue
        measured = measure(key, answer, key.as_given(key.plain.answer(key.inputs(case), key.states[case.weights])))
        if case.binding and not measured.hopeless:
            yield case, measured


def found(forward: str, inputs: str = "torch.randn(64, 48)", init: str = "pass") -> Adequacy:
    key = key_of(forward, inputs, init)
    return assess(key, demands(key))


TELLING = {
    "a linear layer": ("return torch.relu(self.f(x))", "torch.randn(64, 48)", "self.f = nn.Linear(48, 80)"),
    "relu of what is never negative": ("return x.relu()", "torch.rand(64, 48)", "pass"),
    "relu in place": ("return x.relu_()", "torch.randn(64, 48)", "pass"),
    "softmax": ("return x.softmax(-1)", "torch.randn(64, 48)", "pass"),
    "a convolution": ("return self.f(x)", "torch.randn(2, 3, 12, 12)", "self.f = nn.Conv2d(3, 8, 3)"),
    "batch norm in train mode": ("return self.f(x)", "torch.randn(64, 48)", "self.f = nn.BatchNorm1d(48)"),
    "an upper triangle": ("return torch.triu(x @ x)", "torch.randn(48, 48)", "pass"),
    "bfloat16": ("return x.tanh()", "torch.randn(64, 48).bfloat16()", "pass"),
    "positions": ("return x.argmax(-1)", "torch.randn(64, 48)", "pass"),
    "an embedding": ("return self.f(x)", "torch.randint(0, 9, (32,))", "self.f = nn.Embedding(9, 40)"),
}


@pytest.mark.parametrize("name", TELLING)
def test_an_ordinary_task_catches_every_wrong_output_and_accepts_other_orders(name: str) -> None:
    told = found(*TELLING[name])
    assert (told.survived, told.refused, degenerate(told)) == ((), (), "")
    assert len(told.tried) >= 5


def test_what_is_tried_fits_the_task() -> None:
    told = found(*TELLING["a linear layer"])
    assert told.tried == (
        "zeros", "mean fill", "last row zeroed", "last tile zeroed", "last column zeroed", "rows permuted",
        "one element off", "weights ignored", "a run one precision lower", "products in TF32",
        "the output for another input",
    )  # fmt: skip
    assert "a copy of an input" in found(*TELLING["softmax"]).tried
    assert "weights ignored" not in found(*TELLING["softmax"]).tried


BLIND = {
    "a constant": ("return x * 0 + 1", "the output is constant"),
    "a softmax of one": ("return torch.softmax(x.sum(1, keepdim=True), 1)", "the output is constant"),
    "a number that is rounded away": ("return x.mean().round() + torch.zeros(64, 48)", ""),
    "no input": ("return (x * 0).sum(1) + torch.arange(64)", "the output does not depend on the input"),
}


@pytest.mark.parametrize("name", BLIND)
def test_a_degenerate_task_is_found(name: str) -> None:
    forward, reason = BLIND[name]
    told = found(forward)
    assert degenerate(told) == reason
    assert bool(told.survived)


def test_what_a_task_cannot_tell_is_named() -> None:
    assert found("return x.clone()").survived == ("a copy of an input",)
    assert (
        "weights ignored"
        in found("return F.layer_norm(x + self.f, (48,))", init="self.f = nn.Parameter(torch.ones(1))").survived
    )
    assert "rows permuted in output 1" in found("return x, x.sum(0).expand(64, 48)").survived


def test_a_rule_that_pytorch_in_another_order_breaks_is_named() -> None:
    key = key_of("return x.sum(-1)", "torch.rand(64, 4800)")
    strict = [(case, Standard(told.errors, (0.0,), told.baseline)) for case, told in islice(demands(key), 1)]
    (told,) = assess(key, strict).refused
    assert told.startswith('the reference on one thread, without oneDNN: family "plain", case 1 of 16, output 0, at [')


def test_tf32_keeps_ten_bits() -> None:
    value = torch.randn(1000).double()
    error = ((tf32(value) - value) / value).abs()
    assert error.max() <= 2.0**-11 and error.max() > 2.0**-12
    assert torch.equal(tf32(tf32(value)), tf32(value))
    assert tf32(torch.tensor([float("inf")])).isinf().all()
