"""The texts of cheats, twins and mutants are what the tables say they are; nothing is run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kernelwright.judge.audit import audit
from tests.cheats import device_table
from tests.cheats.court import HERE, Refused, reference_text
from tests.cheats.mutants import MUTANTS, REFERENCES, kernel_text
from tests.cheats.table import CHEATS, TWINS, Row

ALL = (*CHEATS, *device_table.CHEATS)
HONEST = [source for _, source in TWINS.values()] + [device_table.honest(name) for name in device_table.HONEST]


def stopped_early(row: Row) -> bool:
    return isinstance(row.fate, Refused) and row.fate.stage == "audit"


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
def test_a_cheat_gets_past_the_reader_unless_that_is_its_fate(row: Row) -> None:
    assert ast.get_docstring(ast.parse(row.source))
    if not stopped_early(row):
        audit(row.source)


def test_honest_kernels_get_past_the_reader() -> None:
    for source in (*HONEST, *map(kernel_text, REFERENCES)):
        assert ast.get_docstring(ast.parse(source))
        audit(source)


def test_every_mutant_differs_from_its_kernel_and_parses() -> None:
    sources = [mutant.source for mutant in MUTANTS]
    assert len(set(sources)) == len(sources)
    for source in sources:
        audit(source)


def test_every_cheat_has_a_twin_and_every_file_a_row() -> None:
    names = {row.name for row in CHEATS}
    assert {row.twin for row in CHEATS if row.twin} <= {name.removesuffix("_honest") for name in TWINS}
    assert {path.stem for path in candidates("cpu")} == names | set(TWINS)
    assert {row.twin for row in device_table.CHEATS} <= set(device_table.HONEST)
    assert {path.stem for path in candidates("cuda")} == {row.name for row in device_table.CHEATS} | set(
        device_table.HONEST
    )


def test_every_reference_is_there() -> None:
    for name in {row.reference for row in ALL} | set(REFERENCES.values()) | set(device_table.HONEST.values()):
        assert "class Model(" in reference_text(name)


def candidates(folder: str) -> list[Path]:
    return [path for path in (HERE / folder).glob("*/*.py") if path.parent.name != "__pycache__"]
