"""Correct kernels are accepted, and each of their mutants is refused by what it computes."""

from __future__ import annotations

import pytest

from kernelwright.core.outcome import Rejected
from tests.cheats.court import Courts, Fine, differs, told
from tests.cheats.mutants import MUTANTS, REFERENCES, Mutant, kernel_text


def expected(number: int, mutant: Mutant) -> object:
    marks = [pytest.mark.xfail(reason=mutant.unconfirmed, strict=True)] if mutant.unconfirmed else []
    return pytest.param(mutant, id=f"{mutant.kernel} {number} {mutant.kind}", marks=marks)


@pytest.mark.parametrize("kernel", REFERENCES)
def test_a_correct_kernel_is_accepted(courts: Courts, kernel: str) -> None:
    assert differs(courts.examine(REFERENCES[kernel], kernel_text(kernel)), Fine()) == ""


@pytest.mark.parametrize("mutant", [expected(number, mutant) for number, mutant in enumerate(MUTANTS)])
def test_a_mutant_is_refused(courts: Courts, mutant: Mutant) -> None:
    outcome = courts.examine(REFERENCES[mutant.kernel], mutant.source)
    assert isinstance(outcome, Rejected) and outcome.stage in ("verify", "time"), told(outcome)


def test_there_are_mutants_of_every_kind() -> None:
    assert len(MUTANTS) >= 60
    assert len({mutant.kind for mutant in MUTANTS}) == 9
