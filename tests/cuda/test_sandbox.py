"""A confined worker reaches the GPU, and still nothing of the user's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelwright.judge import requests, sandbox
from kernelwright.judge.processes import Workshop

SOURCE = """
import torch

class Model(torch.nn.Module):
    pass

print(int(torch.ones(1 << 20, device="cuda").sum()), torch.cuda.get_device_name())
try:
    torch.os.listdir({project!r})
except OSError as error:
    print(type(error).__name__, flush=True)
"""


@pytest.fixture(params=["sandlock", "bubblewrap"])
def workshop(request: pytest.FixtureRequest) -> Iterator[Workshop]:
    if lacking := sandbox.lacks(request.param):
        pytest.skip(lacking)
    with Workshop({"PATH": os.defpath}, 1, kind=request.param, device="cuda") as opened:
        yield opened


def test_cuda_works_in_a_sandbox(workshop: Workshop, tmp_path: Path) -> None:
    with workshop.start() as worker:
        worker.ask(requests.Build(SOURCE.format(project=str(tmp_path)), "Model", (), 0), 60.0)
        total, *_, refused = worker.output().removeprefix("printed: ").split()
    assert (total, refused in ("PermissionError", "FileNotFoundError")) == (str(1 << 20), True)
