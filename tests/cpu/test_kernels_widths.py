"""The same kernels for narrower vectors than this machine has, and by another compiler where there is one."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import randn

from kernelwright.kernels import map as map_
from kernelwright.kernels import matmul, rowwise
from kernelwright.runtime import build, configure
from tests.kernels_at_work import check

torch.manual_seed(0)

NARROWER = {"256 bits": ("-mno-avx512f",), "128 bits": ("-mno-avx2", "-mno-avx512f")}


@pytest.fixture(params=NARROWER)
def narrower(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("this processor has one width")
    native = build._machine_flags()
    monkeypatch.setattr(build, "_machine_flags", lambda: (*native, *NARROWER[request.param]))


@pytest.fixture
def clang() -> Iterator[None]:
    if shutil.which("clang++") is None:
        pytest.skip("this machine has no clang++")
    configure(compiler="clang++")
    yield
    configure(compiler="")


@pytest.mark.usefixtures("narrower")
@pytest.mark.parametrize("pack", ["left", "right"])
@pytest.mark.parametrize("tile", [(14, 2), (6, 2), (5, 1)], ids=str)
@pytest.mark.parametrize("along_depth", [True, False], ids=["by row", "by column"])
def test_products(tile: tuple[int, int], pack: str, along_depth: bool) -> None:
    """A panel of 14 rows takes several vectors here, the last of them in part."""
    cut = {
        "row_block": 32,
        "column_block": 48,
        "depth_block": 40,
        "pack": pack,
        "tile_rows": tile[0],
        "tile_columns": tile[1],
    }
    left = randn(47, 101) if along_depth else randn(101, 47).t()
    right = randn(75, 101).t() if along_depth else randn(101, 75)
    check(matmul, lambda a, b: a @ b, left, right, parameters=tuple(cut.items()), length=101)


@pytest.mark.usefixtures("narrower")
def test_few_rows() -> None:
    for rows in (1, 3, 8):
        check(matmul, lambda a, b: (a @ b.t()).abs() + 1, randn(rows, 101), randn(37, 101), length=101)
        check(matmul, lambda a, b: (a @ b).abs() + 1, randn(rows, 101), randn(101, 37), length=101)


def some_of_each() -> None:
    check(map_, lambda x, y: F.gelu(x * y) + (x > 0), randn(37, 19), randn(19))
    check(map_, lambda x, i: x * i, randn(5, 67), torch.randint(-9, 9, (67,)))
    for dim in (0, 1):
        check(rowwise, lambda x, dim=dim: F.softmax(x, dim), randn(37, 101), length=101)
    check(rowwise, lambda x: F.layer_norm(x, (101,)), randn(37, 101), length=101)
    check(matmul, lambda a, b: F.silu(a @ b), randn(47, 101), randn(101, 75), length=101)


@pytest.mark.usefixtures("narrower")
def test_some_of_each_skeleton() -> None:
    some_of_each()


@pytest.mark.usefixtures("clang")
def test_some_of_each_skeleton_by_clang() -> None:
    some_of_each()
