from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kernelwright.capture import source
from kernelwright.core.errors import UsageError
from kernelwright.core.spec import ScalarSpec, TensorSpec
from kernelwright.judge.answers import construct

GOOD = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self, scale):
        super(Model, self).__init__()
        self.scale = scale

    def forward(self, x, shift):
        return x * self.scale + shift

def get_inputs():
    return [torch.rand(2, 3), 4]

def get_init_inputs():
    return [2.0]
"""


def test_a_reference_file_loads_builds_and_runs() -> None:
    reference = source.load(GOOD)
    inputs = source.draw_inputs(reference, seed=1)
    output = source.build(reference)(*inputs)
    torch.testing.assert_close(output, inputs[0] * 2.0 + 4)


def test_the_seed_decides_the_inputs_and_leaves_the_callers_state() -> None:
    reference = source.load(GOOD)
    before = torch.get_rng_state()
    first, again, other = (torch.as_tensor(source.draw_inputs(reference, seed)[0]) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_inputs_are_described() -> None:
    inputs = source.draw_inputs(source.load(GOOD), seed=1)
    assert [source.spec_of(value) for value in inputs] == [TensorSpec((2, 3), (3, 1), "float32"), ScalarSpec(4)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", "not Python"),
        ("x = 1\n", "no class Model"),
        (GOOD.replace("class Model(nn.Module)", "class Model"), "no class Model"),
        (GOOD.replace("def get_inputs", "def inputs"), "no get_inputs"),
        ("1/0\n", "fails when it is imported: ZeroDivisionError"),
        ("import no_such_package\n", "No module named"),
        ("raise SystemExit(0)\n", "fails when it is imported: SystemExit"),
    ],
)
def test_a_file_that_is_no_reference_says_why(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        source.load(text)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise KeyError('x')", "get_inputs\\(\\) fails: KeyError"),
        ("return torch.rand(2)", "returns Tensor; wanted a list"),
        ("return ['x']", "input 0 is a str"),
        ("return [1, 2.0]", "returns no tensor"),
    ],
)
def test_inputs_that_are_none_say_why(body: str, message: str) -> None:
    text = GOOD.replace("return [torch.rand(2, 3), 4]", body)
    with pytest.raises(UsageError, match=message):
        source.draw_inputs(source.load(text), seed=0)


def test_a_constructor_that_fails_says_why() -> None:
    with pytest.raises(UsageError, match="constructor fails: TypeError"):
        source.build(source.load(GOOD.replace("return [2.0]", "return []")))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such file: .*nothing\.py"):
        source.read(tmp_path / "nothing.py")
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot read"):
        source.read(tmp_path / "binary.py")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("{'scale': 2.0}", "returns dict; wanted a list of the constructor's arguments"),
        ("[lambda: 2.0]", "returns what no other process can be given"),
        ("[Model]", "something that the reference's own file defines"),
    ],
)
def test_constructor_arguments_that_no_worker_can_be_given_say_why(arguments: str, message: str) -> None:
    reference = source.load(GOOD.replace("return [2.0]", f"return {arguments}"))
    with pytest.raises(UsageError, match=message):
        construct(reference)
