"""What a candidate's text alone can get it refused for."""

from __future__ import annotations

import pytest

from kernelwright.judge.audit import audit
from kernelwright.judge.objection import Objection

MODEL = "class ModelNew:\n    pass\n"


@pytest.mark.parametrize(
    "line",
    [
        "import torch",
        "import torch.nn.functional as F",
        "from torch import nn",
        "from kernelwright.runtime import cpp, empty",
        "import math",
        "from __future__ import annotations",
        "import triton.language as tl",
    ],
)
def test_what_kernels_need_may_be_imported(line: str) -> None:
    audit(f"{line}\n{MODEL}")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("import os", "imports os"),
        ("import torch, socket", "imports socket"),
        ("from subprocess import run", "imports subprocess.run"),
        ("import ctypes", "imports ctypes"),
        ("from kernelwright import judge", "imports kernelwright.judge"),
        ("import kernelwright.store", "imports kernelwright.store"),
        ("from . import runtime", "imports ..runtime"),
        ("from torch.utils import cpp_extension", "imports torch.utils.cpp_extension"),
        ("import torchvision", "imports torchvision"),
        ("def f():\n    import os", "imports os"),
        ("open('/etc/passwd')", "line 1: calls open()"),
        ("x = eval('1')", "line 1: calls eval()"),
    ],
)
def test_what_they_do_not_need_is_named(line: str, named: str) -> None:
    with pytest.raises(Objection) as refused:
        audit(f"{line}\n{MODEL}")
    assert refused.value.stage == "audit"
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("", "no class ModelNew"),
        ("def f():\n    class ModelNew: pass", "no class ModelNew"),
        ("class ModelNew(:", "line 1: not Python"),
        ("\0", "not Python"),
        (f"x = {'(' * 2000}1{')' * 2000}\n{MODEL}", "not Python"),
    ],
)
def test_what_is_no_candidate_is_refused(source: str, named: str) -> None:
    with pytest.raises(Objection, match=named):
        audit(source)


def test_methods_that_share_a_forbidden_name_are_fine() -> None:
    audit(f"import torch\nx = torch.compile(len)\n{MODEL}")
