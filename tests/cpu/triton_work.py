"""Triton kernels run by the interpreter, or built for a GPU that need not be there. A process of its own, since
TRITON_INTERPRET is read when Triton is imported.

    TRITON_INTERPRET=1 python -m tests.cpu.triton_work interpret map
    python -m tests.cpu.triton_work build matmul
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn, randn

from kernelwright.core.spec import Target
from kernelwright.kernels import map as map_
from kernelwright.kernels import matmul
from kernelwright.kernels.kernel import Kernel
from kernelwright.kernels.skeleton import Skeleton
from tests.kernels_at_work import assert_close, given, oracle, returned, run, whole

GPU = Target("cuda", "sm_90", "a device", (), 1)
POINTERS = {"float32": "*fp32", "int64": "*i64", "bool": "*i1"}
SKELETONS: dict[str, Skeleton] = {"map": map_, "matmul": matmul}

torch.manual_seed(0)

Case = tuple[str, Callable[..., Any], tuple[torch.Tensor, ...]]

MAP: list[Case] = [
    ("gelu", F.gelu, (randn(1000),)),
    ("a row", lambda x, y: torch.relu(x * y + 1), (randn(64, 33), randn(33))),
    ("transposed", lambda x, y: x.t() + y, (randn(33, 64), randn(64, 33))),
    ("channels", lambda x, y: torch.sigmoid(x + y), (randn(2, 3, 5, 7), randn(3, 1, 1))),
    ("channels last", lambda x: F.relu(x) * 2, (randn(2, 3, 4, 5).to(memory_format=torch.channels_last),)),
    ("a slice", lambda x: F.mish(x[:, 2:7]), (randn(20, 30),)),
    ("two outputs", lambda x: (x.masked_fill(x > 0.5, float("-inf")), x > 0), (randn(3, 100),)),
    ("a triangle", lambda x: torch.triu(x), (randn(4, 33, 33),)),
    ("a choice", lambda x, m: torch.where(m, x, x * 0.5) * m, (randn(5, 67), randn(5, 1) > 0)),
    ("integers", lambda x, t: x * t + (t > 2), (randn(5, 67), torch.randint(0, 9, (67,)))),
    ("accurate near 0", lambda x: torch.tanh(x) + torch.expm1(x) + torch.log1p(x), (randn(5, 67) * 1e-4,)),
    ("a reshape", lambda x: F.silu(x).view(5, 8, 4) + torch.ones(4), (randn(5, 32),)),
    ("one element", lambda x: x * 2, (randn(()),)),
    ("NaN", lambda x, y: torch.maximum(x, y), (torch.tensor([1.0, float("nan")]), torch.tensor([float("nan"), 1.0]))),
]


class Linear(nn.Module):
    def __init__(self, after: Callable[..., Any]) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 128)
        self.after = after

    def forward(self, x: torch.Tensor) -> Any:
        return self.after(self.fc(x))


MATMUL: list[Case] = [
    ("linear, gelu", Linear(F.gelu), (randn(4, 37, 64),)),
    ("two outputs", Linear(lambda y: (y, F.silu(y))), (randn(37, 64),)),
    ("heads", Linear(lambda y: y.view(2, 20, 8, 16).transpose(1, 2) * 1.5), (randn(2, 20, 64),)),
    ("bmm", torch.bmm, (randn(3, 17, 40), randn(3, 40, 50))),
    (
        "bmm, transposed",
        lambda a, b: torch.relu(a @ b.transpose(-1, -2) * 0.5),
        (randn(2, 3, 17, 40), randn(2, 3, 50, 40)),
    ),
    ("addmm", lambda b, x, w: torch.addmm(b, x, w, beta=0.5, alpha=2.0), (randn(70), randn(50, 30), randn(30, 70))),
    ("baddbmm", torch.baddbmm, (randn(4, 50, 70), randn(4, 50, 30), randn(4, 30, 70))),
    ("transposed left", lambda x, w: x.t() @ w, (randn(30, 50), randn(30, 70))),
    ("work before", lambda x, w: (torch.exp(x) + 1) @ w.t(), (randn(50, 30), randn(70, 30))),
    ("one row", lambda x, w: x @ w, (randn(1, 30), randn(30, 40))),
    ("one column", lambda x, w: x @ w, (randn(50, 30), randn(30, 1))),
    ("residual", lambda x, w: x @ w + x, (randn(50, 40), randn(40, 40))),
]

CASES: dict[str, list[Case]] = {"map": MAP, "matmul": MATMUL}


def loaded(kernel: Kernel, folder: str) -> ModuleType:
    path = Path(folder) / "kernel.py"
    path.write_text("\n".join([*kernel.headers, "", "", kernel.source]))
    spec = importlib.util.spec_from_file_location("kernel", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def interpret(skeleton: Skeleton, name: str, function: Callable[..., Any], inputs: tuple[torch.Tensor, ...]) -> None:
    """Every choice of parameters against float64."""
    graph, here = whole(skeleton, function, inputs)
    for parameters in skeleton.parameters(here, GPU):
        kernel = skeleton.write(here, parameters, "triton", "kernel")
        with tempfile.TemporaryDirectory() as folder:
            found = run(kernel, loaded(kernel, folder).kernel, given(graph, inputs))
        for output, exact, eager in zip(returned(graph), *oracle(function, inputs), strict=True):
            assert_close(found[output], exact, eager, 300)
    print("done:", name)


def build(skeleton: Skeleton, name: str, function: Callable[..., Any], inputs: tuple[torch.Tensor, ...]) -> None:
    """The best guess, down to the machine code of an H100."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    _, here = whole(skeleton, function, inputs)
    kernel = skeleton.write(here, skeleton.parameters(here, GPU)[0], "triton", "kernel")
    with tempfile.TemporaryDirectory() as folder:
        program = loaded(kernel, folder).kernel_kernel
        types = [POINTERS[argument.spec.dtype] for argument in kernel.arguments]
        source = ASTSource(program, dict(zip(program.arg_names, types, strict=True)), {})
        assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]
    print("done:", name)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # numpy's, at the edges of float32
    work = {"interpret": interpret, "build": build}[sys.argv[1]]
    for case in CASES[sys.argv[2]]:
        work(SKELETONS[sys.argv[2]], *case)
