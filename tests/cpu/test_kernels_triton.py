"""Kernels in Triton, run by Triton's interpreter on the CPU against float64: what they compute, not how fast."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

SCRIPT = """
import importlib.util, math, sys, tempfile, warnings
from pathlib import Path
import torch, torch.nn.functional as F
from torch import randn
from kernelwright.core.spec import Target
from kernelwright.kernels import map as map_, matmul
from tests.kernels_at_work import assert_close, given, oracle, returned, run, whole
from tests.cpu.triton_cases import CASES

warnings.simplefilter("ignore", RuntimeWarning)  # numpy, at the edges of float32
GPU = Target("cuda", "sm_90", "a device", (), 1)

def built(kernel, folder):
    path = Path(folder) / "kernel.py"
    path.write_text("\\n".join([*kernel.headers, "", "", kernel.source]))
    spec = importlib.util.spec_from_file_location("kernel", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, kernel.name)

skeleton = {"map": map_, "matmul": matmul}[sys.argv[1]]
for name, function, inputs in CASES[sys.argv[1]]:
    torch.manual_seed(0)
    graph, here = whole(skeleton, function, inputs)
    for parameters in skeleton.parameters(here, GPU):
        kernel = skeleton.write(here, parameters, "triton", "kernel")
        with tempfile.TemporaryDirectory() as folder:
            found = run(kernel, built(kernel, folder), given(graph, inputs))
        for output, exact, eager in zip(returned(graph), *oracle(function, inputs), strict=True):
            try:
                assert_close(found[output], exact, eager, 300)
            except AssertionError as error:
                raise AssertionError(f"{name} {dict(parameters)}: {error}\\n{kernel.source}") from error
    print("right:", name)
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed: pip install triton (Linux only)")
@pytest.mark.parametrize("skeleton", ["map", "matmul"])
def test_triton_kernels_are_right(skeleton: str) -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, skeleton], capture_output=True, text=True, env=environment, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("right:") >= 10
