"""An exported kernel is one file that runs where kernelwright is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kernelwright.capture.source import build, draw_inputs, load, spec_of
from kernelwright.core.candidate import Candidate, Handmade
from kernelwright.core.codec import digest
from kernelwright.core.errors import UsageError
from kernelwright.core.spec import Target
from kernelwright.core.task import Task
from kernelwright.deploy.export import export

pytestmark = pytest.mark.cpu

REFERENCE = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width))

    def forward(self, x, scale):
        return x * self.weight * scale

def get_inputs():
    return [torch.randn(6, 8), 2.0]

def get_init_inputs():
    return [8]
"""

KERNEL = '''"""Multiplies in C++.

- one kernel
"""

import torch
from torch import nn

from kernelwright.runtime import cpp, empty

kernels = cpp(r"""
extern "C" void scaled(const float* x, const float* weight, float* out) {
    for (int row = 0; row < 6; ++row)
        for (int at = 0; at < 8; ++at) out[row * 8 + at] = x[row * 8 + at] * weight[at] * 2.0f;
}
""")


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width))

    def forward(self, x, scale):
        out = empty((6, 8), torch.float32)
        kernels.scaled(x, self.weight, out)
        return out
'''

USE = """
import sys
sys.modules["kernelwright"] = None  # importing it raises ImportError
import torch
from optimized import load
model = load()
inputs, expected = torch.load("expected.pt")
torch.testing.assert_close(model(*inputs), expected)
for wrong in ([inputs[0][:2], 2.0], [inputs[0], 3.0], [inputs[0].double(), 2.0], [inputs[0]]):
    try:
        model(*wrong)
    except ValueError as error:
        assert "made for inputs" in str(error)
    else:
        raise AssertionError(f"took {wrong}")
try:
    model.double()(*inputs)
except ValueError as error:
    print(error)
"""


def task() -> tuple[Task, Candidate, torch.nn.Module]:
    reference = load(REFERENCE)
    specs = tuple(spec_of(value) for value in draw_inputs(reference, 0))
    asked = Task(REFERENCE, specs, Target("cpu", "portable", "any"))
    return asked, Candidate(digest(asked), KERNEL, Handmade("a test")), build(reference)


def test_an_exported_kernel_runs_without_kernelwright_and_keeps_to_its_inputs(tmp_path: Path) -> None:
    asked, candidate, model = task()
    x = torch.randn(6, 8)
    torch.save(([x, 2.0], model(x, 2.0).detach()), tmp_path / "expected.pt")
    export(asked, candidate, tmp_path, state=model.state_dict())
    (tmp_path / "use.py").write_text(USE)
    done = subprocess.run([sys.executable, "use.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "parameters as the constructor makes them" in done.stdout


def test_an_exported_file_says_how_to_use_it_and_runs_by_itself(tmp_path: Path) -> None:
    asked, candidate, _ = task()
    path = export(asked, candidate, tmp_path / "new", name="scaled")
    text = path.read_text()
    for line in (
        "Multiplies in C++.",
        "from scaled import load",
        "model = load()",
        "model.load_state_dict(...)",
        "float32 of shape (6, 8)",
        "the number 2.0",
        "a C++ compiler",
        "from kernel_runtime import cpp, empty",
    ):
        assert line in text
    assert "safetensors" not in text
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.replace("-0.", "0.").startswith("tensor([[0.")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    asked, candidate, _ = task()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write to"):
        export(asked, candidate, tmp_path / "file")
