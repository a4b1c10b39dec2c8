"""docs/tricks.md says what the docstrings say."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelwright.tricks import TRICKS
from kernelwright.tricks.page import describe, page

DOCS = Path(__file__).parents[2] / "docs" / "tricks.md"


def test_the_page_is_what_the_docstrings_make_of_it() -> None:
    assert DOCS.read_text() == page(), "run: python -m kernelwright.tricks.page > docs/tricks.md"


def test_every_trick_is_one_file_of_its_name() -> None:
    assert len({trick.name for trick in TRICKS}) == len(TRICKS)
    for trick in TRICKS:
        assert trick.rewrite.__module__ == f"kernelwright.tricks.{trick.name}"


def test_a_docstring_that_lacks_a_part_is_named() -> None:
    with pytest.raises(ValueError, match="Faster"):
        describe("Drop it.\n\n    f(x)  ->  x\n\nLegal: always.\nAccuracy: exact.\n")
    with pytest.raises(ValueError, match="before -> after"):
        describe("Drop it.\n\nLegal: always.\n")
