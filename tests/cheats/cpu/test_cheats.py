"""Every cheat is refused where and why it should be, or buys nothing; every honest twin is accepted."""

from __future__ import annotations

import pytest

from tests.cheats.court import Courts, Fine, Refused, differs
from tests.cheats.table import CHEATS, TWINS, Row


def expected(row: Row) -> object:
    strict = isinstance(row.fate, Refused)  # what is not called faster may be so by noise
    marks = [pytest.mark.xfail(reason=row.unconfirmed, strict=strict)] if row.unconfirmed else []
    return pytest.param(row, id=row.name, marks=marks)


@pytest.mark.parametrize("row", map(expected, CHEATS))
def test_a_cheat_meets_its_fate(courts: Courts, row: Row) -> None:
    assert differs(courts.examine(row.reference, row.source), row.fate) == ""


@pytest.mark.parametrize("name", TWINS)
def test_an_honest_twin_is_accepted(courts: Courts, name: str) -> None:
    reference, source = TWINS[name]
    assert differs(courts.examine(reference, source), Fine()) == ""


def test_there_are_cheats_of_every_kind() -> None:
    kinds = [row.kind for row in CHEATS]
    assert len(kinds) >= 40 and {"correctness", "time", "environment"} == set(kinds)
