"""Cheats that exist only on CUDA are refused or buy nothing; honest graphs, caches and streams are accepted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cheats.court import Courts, Fine, differs
from tests.cheats.device_table import CHEATS, HONEST, honest
from tests.cheats.table import Row


@pytest.fixture(scope="module")
def device_courts() -> Iterator[Courts]:
    with Courts("cuda", seconds=1.0) as opened:
        yield opened


@pytest.mark.parametrize("row", CHEATS, ids=lambda row: row.name)
def test_a_cheat_on_the_device_meets_its_fate(device_courts: Courts, row: Row) -> None:
    assert differs(device_courts.examine(row.reference, row.source), row.fate) == ""


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_kernel_on_the_device_is_accepted(device_courts: Courts, name: str) -> None:
    assert differs(device_courts.examine(HONEST[name], honest(name)), Fine()) == ""
