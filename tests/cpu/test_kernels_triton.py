"""Kernels in Triton: what they compute, by Triton's interpreter on the CPU, and that they build for a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cpu.triton_work import CASES

pytestmark = pytest.mark.skipif(
    find_spec("triton") is None, reason="Triton is not installed: pip install triton (Linux only)"
)


@pytest.mark.parametrize("skeleton", CASES)
def test_triton_kernels_are_right(skeleton: str) -> None:
    assert done("interpret", skeleton, {"TRITON_INTERPRET": "1"}) == len(CASES[skeleton])


@pytest.mark.parametrize("skeleton", CASES)
def test_triton_kernels_build_for_a_gpu_that_need_not_be_there(skeleton: str, tmp_path: Path) -> None:
    settings = {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    assert done("build", skeleton, settings) == len(CASES[skeleton])


def done(work: str, skeleton: str, settings: dict[str, str]) -> int:
    """How many cases a process of its own gets through."""
    environment = {**os.environ, **settings, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tests.cpu.triton_work", work, skeleton]
    process = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280, check=False)
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout.count("done:")
